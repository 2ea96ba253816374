//! Whether a frame build is whole: every file has the hash that its manifest, and so the merchant's page and the
//! document's policy, names.

use std::path::Path;

use anyhow::ensure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha384};

use super::FrameFiles;
use super::files::Manifest;

impl FrameFiles {
    /// Checks a build against its manifest.
    ///
    /// # Errors
    /// Which file is missing or changed, and what to do.
    pub fn verify(folder: &Path) -> anyhow::Result<()> {
        Self::read(folder)?;
        let manifest = Manifest::read(folder)?;
        let files = manifest
            .assets
            .iter()
            .map(|asset| (&asset.file, &asset.integrity));
        for (name, integrity) in files.chain([(&manifest.loader.file, &manifest.loader.integrity)])
        {
            let content = std::fs::read(folder.join(name))?;
            let hash = format!("sha384-{}", STANDARD.encode(Sha384::digest(&content)));
            ensure!(
                *integrity == hash,
                "{name} is not the file that was built; build the frame again and find out who changed it"
            );
        }
        for document in manifest.documents.values() {
            let name = &document.file;
            let content = std::fs::read_to_string(folder.join(name))?;
            for (tag, hashes) in [
                ("script", &document.script_hashes),
                ("style", &document.style_hashes),
            ] {
                for inline in inline(&content, tag) {
                    let hash = format!("sha256-{}", STANDARD.encode(Sha256::digest(inline)));
                    ensure!(
                        hashes.contains(&hash),
                        "{name} holds a <{tag}> that the manifest does not name; build the frame again and find out \
                         who changed it"
                    );
                }
            }
        }
        Ok(())
    }
}

// What stands between the tags; the build writes them in lower case.
fn inline<'a>(document: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
    let parts = document.split(&open).skip(1);
    parts
        .filter_map(|part| part.split_once('>'))
        .filter_map(|(_, rest)| rest.split_once(&close))
        .map(|(inline, _)| inline)
        .filter(|inline| !inline.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_found() {
        let folder = std::env::temp_dir().join(vault_api::ids::new_id("frame"));
        std::fs::create_dir_all(&folder).expect("made");
        let sha384 = |text: &str| format!("sha384-{}", STANDARD.encode(Sha384::digest(text)));
        let sha256 = |text: &str| format!("sha256-{}", STANDARD.encode(Sha256::digest(text)));
        let manifest = serde_json::json!({
            "loader": {"file": "l.js", "integrity": sha384("loader")},
            "documents": {
                "card": {"file": "d.html", "script_hashes": [sha256("go()")], "style_hashes": [sha256("a{}")]},
                "cvc": {"file": "c.html", "script_hashes": [], "style_hashes": [sha256("a{}")]},
            },
            "assets": [{"file": "a.wasm", "content_type": "application/wasm", "integrity": sha384("wasm")}],
        });
        let write =
            |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("written");
        write("manifest.json", &manifest.to_string());
        let good = [
            ("l.js", "loader"),
            (
                "d.html",
                "<style>a{}</style><script type=\"module\">go()</script>",
            ),
            ("c.html", "<style>a{}</style>"),
            ("a.wasm", "wasm"),
        ];
        for (name, text) in good {
            write(name, text);
        }
        FrameFiles::verify(&folder).expect("whole");
        for (name, text) in [
            ("l.js", "loader2"),
            ("a.wasm", ""),
            ("d.html", "<style>a{}</style><script>steal()</script>"),
            ("c.html", "<style>a{}</style><script>go()</script>"),
        ] {
            write(name, text);
            assert!(FrameFiles::verify(&folder).is_err(), "{name}");
            let whole = good.iter().find(|(good, _)| *good == name);
            write(name, whole.expect("known").1);
        }
        FrameFiles::verify(&folder).expect("whole again");
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
