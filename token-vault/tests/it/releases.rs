//! Releases by the built program: signed, checked at start, published, and former ones still served.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha384};

use crate::served::{PROGRAM, Served, request};

/// A build with a loader, a document, and an asset that both it and others have.
fn build(folder: &Path, version: &str) -> PathBuf {
    let frame = folder.join(version);
    std::fs::create_dir_all(frame.join("assets")).unwrap();
    let loader = format!("cardseal-{version}.js");
    let asset = format!("assets/payments-{version}.js");
    let script = format!("/* {version} */");
    let document = format!("<script>{script}</script>");
    let files = [
        (loader.as_str(), format!("// loader {version}")),
        (asset.as_str(), format!("// payments {version}")),
        ("assets/words.json", "{}".to_owned()),
        ("frame.html", document),
    ];
    let sha384 = |file: &str| {
        let content = &files.iter().find(|(name, _)| *name == file).unwrap().1;
        format!("sha384-{}", STANDARD.encode(Sha384::digest(content)))
    };
    let asset = |file: &str| json!({"file": file, "content_type": "text/javascript", "integrity": sha384(file)});
    let manifest = json!({
        "version": version,
        "loader": {"file": loader, "integrity": sha384(&loader)},
        "documents": {"card": {
            "file": "frame.html", "style_hashes": [],
            "script_hashes": [format!("sha256-{}", STANDARD.encode(Sha256::digest(script)))],
        }},
        "assets": [asset(&format!("assets/payments-{version}.js")), asset("assets/words.json")],
    });
    std::fs::write(frame.join("manifest.json"), manifest.to_string()).unwrap();
    for (name, content) in &files {
        std::fs::write(frame.join(name), content).unwrap();
    }
    frame
}

fn releases(args: &[&str]) -> Output {
    Command::new(PROGRAM)
        .arg("releases")
        .args(args)
        .output()
        .unwrap()
}

#[track_caller]
fn done(args: &[&str]) -> Value {
    let output = releases(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn refused(args: &[&str], why: &str) {
    let output = releases(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && errors.contains(why),
        "{args:?}: {errors}"
    );
}

/// A new key's file and its public half.
fn key(folder: &Path, name: &str) -> (String, String) {
    let file = folder.join(name).display().to_string();
    let made = done(&["keygen", "--out", &file]);
    (file, made["release_key"].as_str().unwrap().to_owned())
}

/// `serve`, with these options more.
fn options(folder: &Path, command: &mut Command, more: &[&str]) {
    let at = folder.display();
    command.args(["--database", &format!("sqlite:{at}/vault.db")]);
    command.args(["--root-key-file", &format!("{at}/root.json")]);
    command.args(more);
}

/// What `serve` says when it does not start.
fn serve_refuses(folder: &Path, more: &[&str]) -> String {
    let mut command = Command::new(PROGRAM);
    command.arg("serve");
    for listener in ["--public", "--private", "--admin"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    options(folder, &mut command, more);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_release_is_signed_kept_and_served_after_a_newer_one() {
    let folder = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-releases"));
    std::fs::create_dir_all(folder.join("archive")).unwrap();
    let text = |path: &Path| path.display().to_string();
    let (old, new) = (
        text(&build(&folder, "1.0.0")),
        text(&build(&folder, "2.0.0")),
    );
    let archive = text(&folder.join("archive"));
    let (file, public) = key(&folder, "release.key");
    let (second_file, second) = key(&folder, "second.key");
    refused(&["keygen", "--out", &file], "creating");

    // The first release, archived; the second by the key that follows.
    refused(
        &[
            "archive",
            "--frame-dir",
            &old,
            "--archive",
            &archive,
            "--release-key",
            &public,
        ],
        "is not signed",
    );
    done(&["sign", "--frame-dir", &old, "--key", &file]);
    let verified = done(&["verify", "--frame-dir", &old, "--release-key", &public]);
    assert_eq!(verified[0]["version"], "1.0.0");
    let paths: Vec<_> = verified[0]["files"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/v1/assets/payments-1.0.0.js",
            "/v1/assets/words.json",
            "/v1/cardseal-1.0.0.js",
            "/v1/frame?layout=card"
        ]
    );
    // A key may begin like an option.
    let dashed = "-nCjYIWXukcNAnI7oUD3mVuZp1C-oUoPXE9QiwYMbx0";
    for other in [&second, dashed] {
        refused(
            &["verify", "--frame-dir", &old, "--release-key", other],
            "no release key",
        );
    }
    let keep = [
        "archive",
        "--frame-dir",
        &old,
        "--archive",
        &archive,
        "--release-key",
        &public,
    ];
    assert_eq!(done(&keep)["archived"], "now");
    assert_eq!(done(&keep)["archived"], "before");
    done(&["sign", "--frame-dir", &new, "--key", &second_file]);

    // Both keys are known while there are releases of both.
    let both = [
        "--frame-dir",
        &new,
        "--frame-archive",
        &archive,
        "--release-key",
        &public,
        "--release-key",
        &second,
    ];
    let vault = Served::start(&folder, |command| options(&folder, command, &both));
    let get = |path: &str| request(vault.public, &format!("GET {path}"), "", "").unwrap();
    for (path, body) in [
        ("/v1/cardseal-1.0.0.js", "// loader 1.0.0"),
        ("/v1/cardseal-2.0.0.js", "// loader 2.0.0"),
        ("/v1/assets/payments-1.0.0.js", "// payments 1.0.0"),
        ("/v1/assets/payments-2.0.0.js", "// payments 2.0.0"),
    ] {
        let answer = get(path);
        assert!(
            answer.contains(" 200 ") && answer.ends_with(body),
            "{path}: {answer}"
        );
        assert!(
            answer.contains("immutable") && answer.contains("access-control-allow-origin: *"),
            "{answer}"
        );
    }
    assert!(get("/v1/cardseal.js").ends_with("// loader 2.0.0"));
    assert!(get("/v1/cardseal-3.0.0.js").contains(" 404 "));
    // What anybody can fetch is what was signed.
    let answer = get("/.well-known/cardseal-releases.json");
    let (_, published) = answer.split_once("\r\n\r\n").unwrap();
    let saved = text(&folder.join("published.json"));
    std::fs::write(&saved, published).unwrap();
    let of = ["verify", "--published", &saved, "--release-key", &public];
    refused(&of, "no release key");
    let told = done(&[&of[..], &["--release-key", &second]].concat());
    assert_eq!(
        [&told[0]["version"], &told[1]["version"]],
        ["2.0.0", "1.0.0"]
    );
    let digest = STANDARD.encode(Sha384::digest("// loader 1.0.0"));
    assert_eq!(
        told[1]["files"]["/v1/cardseal-1.0.0.js"],
        format!("sha384-{digest}")
    );
    drop(vault);

    // A byte of a former release is changed, and its manifest with it.
    let loader = folder.join("archive/1.0.0/cardseal-1.0.0.js");
    let manifest = folder.join("archive/1.0.0/manifest.json");
    let was = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&loader, "// loader 1.0.1").unwrap();
    assert!(
        serve_refuses(&folder, &both).contains("cardseal-1.0.0.js is not the file that was built")
    );
    let other = STANDARD.encode(Sha384::digest("// loader 1.0.1"));
    std::fs::write(&manifest, was.replace(&digest, &other)).unwrap();
    let said = serve_refuses(&folder, &both);
    assert!(
        said.contains("/v1/cardseal-1.0.0.js is not what was signed"),
        "{said}"
    );
    refused(&keep, "is not what was signed");
    std::fs::write(&loader, "// loader 1.0.0").unwrap();
    std::fs::write(&manifest, was).unwrap();
    // The key of the former release is forgotten too early; a release that nobody signed.
    assert!(serve_refuses(&folder, &both[..6]).contains("no release key"));
    std::fs::remove_file(Path::new(&new).join("release.jws")).unwrap();
    assert!(
        serve_refuses(&folder, &both).contains("is not signed; run: token-vault releases sign")
    );
    std::fs::remove_dir_all(folder).unwrap();
}
