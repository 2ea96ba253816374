//! House rules that a lint cannot know: each file says what it is for, no file is a drawer, nothing claims a
//! certificate, and no path or secret of somebody's machine is in the tree.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-co", "--exclude-standard"])
        .current_dir(root())
        .output();
    let output = output.expect("git lists the files");
    let text = String::from_utf8(output.stdout).expect("names are UTF-8");
    text.lines()
        .map(PathBuf::from)
        .filter(|file| root().join(file).is_file())
        .collect()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_default()
}

#[test]
fn every_rust_file_opens_by_saying_what_it_is_for() {
    let files: Vec<_> = tracked()
        .into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "rs"))
        .collect();
    assert!(files.len() > 50);
    for file in files {
        assert!(
            read(&file).starts_with("//! "),
            "{} has no //! header",
            file.display()
        );
    }
}

#[test]
fn no_file_is_a_drawer() {
    for file in tracked() {
        let stem = file
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default()
            .to_owned();
        assert!(
            !["utils", "util", "helpers", "common", "misc"].contains(&stem.as_str()),
            "{}",
            file.display()
        );
    }
}

#[test]
fn documents_promise_no_certificate() {
    for file in tracked()
        .into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "md" || e == "html"))
    {
        let text = read(&file).to_lowercase();
        for claim in [
            "pci compliant",
            "pci-compliant",
            "pci dss compliant",
            "pci certified",
            "saq a compliant",
        ] {
            assert!(!text.contains(claim), "{} says {claim:?}", file.display());
        }
    }
}

#[test]
fn no_secret_is_in_the_tree() {
    for file in tracked() {
        let text = read(&file);
        for prefix in [
            "sk_live_",
            "rk_live_",
            "svc_live_",
            "sk_test_",
            "rk_test_",
            "svc_test_",
            "whsec_",
        ] {
            for (at, _) in text.match_indices(prefix) {
                let body = text[at + prefix.len()..]
                    .bytes()
                    .take_while(u8::is_ascii_alphanumeric)
                    .count();
                assert!(
                    body < 30,
                    "{} holds what looks like a key ({prefix}..)",
                    file.display()
                );
            }
        }
        assert!(
            !text.contains(concat!("BEGIN ", "PRIVATE KEY")),
            "{} holds a private key",
            file.display()
        );
    }
}
