//! `manifest.json`: what the vault serves and under which hashes; and the sizes, held against the budget.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256, Sha384};

use super::document::Page;
use crate::say::say;

/// What every buyer may have to fetch: document and wasm, brotli.
pub const BUDGET: usize = 60_000;

/// What every page of a merchant has to fetch: the loader, brotli.
pub const LOADER_BUDGET: usize = 5_000;

/// A document: its file, and the hashes that its policy names.
pub struct Frame {
    /// The layout's name.
    pub layout: String,
    /// The file.
    pub built: Built,
    scripts: Vec<String>,
    style: String,
    /// What the document fetches first.
    preload: Option<String>,
}

impl Frame {
    /// The document of a layout.
    pub fn new(layout: String, html: String, page: &Page<'_>) -> Result<Self> {
        // Trunk knows the first one by this name.
        let file = match layout.as_str() {
            CARD => "index.html".to_owned(),
            other => format!("{other}.html"),
        };
        Ok(Self {
            built: Built::new(format!("document {layout}"), file, html.into_bytes())?,
            scripts: [page.front.as_bytes(), page.script.as_bytes()]
                .into_iter()
                .filter(|script| !script.is_empty())
                .chain(page.plain.map(|plain| plain.content.as_slice()))
                .map(sha256)
                .collect(),
            style: sha256(page.css.as_bytes()),
            preload: page.wasm.map(str::to_owned),
            layout,
        })
    }
}

/// The label of a language's words: told once, for the largest.
const WORDS: &str = "words";

/// The layout that most buyers see; the budget is its.
const CARD: &str = "card";

/// A file of the frame, and its size with and without brotli.
pub struct Built {
    /// What it is, for people.
    pub label: String,
    /// Its path in the output directory.
    pub file: String,
    /// Its content.
    pub content: Vec<u8>,
    /// Compressed.
    pub brotli: Vec<u8>,
}

impl Built {
    /// Compresses `content` as far as brotli goes.
    pub fn new(label: impl Into<String>, file: String, content: Vec<u8>) -> Result<Self> {
        let brotli = brotli(&content)?;
        Ok(Self {
            label: label.into(),
            file,
            content,
            brotli,
        })
    }

    /// Writes the file and its `.br` sibling.
    pub fn write(&self, out: &Path) -> Result<()> {
        let path = out.join(&self.file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, &self.content)?;
        fs::write(out.join(format!("{}.br", self.file)), &self.brotli)?;
        Ok(())
    }

    fn asset(&self, content_type: &str) -> Value {
        json!({
            "file": self.file,
            "content_type": content_type,
            "integrity": sha384(&self.content),
        })
    }
}

/// `content`, compressed as far as brotli goes.
pub fn brotli(mut content: &[u8]) -> Result<Vec<u8>> {
    let mut compressed = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: 11,
        lgwin: 22,
        size_hint: content.len(),
        ..Default::default()
    };
    brotli::BrotliCompress(&mut content, &mut compressed, &parameters)?;
    Ok(compressed)
}

/// Everything the manifest tells.
pub struct Manifest<'a> {
    /// The release: workspace version and a hash of the content.
    pub version: &'a str,
    /// The fingerprint of the sources.
    pub inputs: &'a str,
    /// One per layout.
    pub documents: &'a [Frame],
    /// The loader.
    pub loader: &'a Built,
    /// What loader and documents fetch, with its content type: the module first.
    pub assets: &'a [(&'a Built, &'a str)],
    /// How many of them are the words of a language.
    pub words: usize,
}

impl Manifest<'_> {
    fn files(&self) -> impl Iterator<Item = &Built> {
        let documents = self.documents.iter().map(|frame| &frame.built);
        let assets = self.assets.iter().map(|(built, _)| *built);
        documents.chain(assets).chain([self.loader])
    }

    /// What the buyer of a whole card in one frame fetches.
    fn frame_total(&self) -> usize {
        let card = self.documents.iter().find(|frame| frame.layout == CARD);
        let card = card.map(|frame| &frame.built);
        let module = self.assets.first().map(|(module, _)| *module);
        let both = card.into_iter().chain(module);
        both.map(|built| built.brotli.len()).sum()
    }

    /// The manifest.
    pub fn json(&self) -> Value {
        let mut sizes: Map<String, Value> = self
            .files()
            .map(|built| {
                let size = json!({ "bytes": built.content.len(), "brotli": built.brotli.len() });
                (built.label.clone(), size)
            })
            .collect();
        let documents: Map<String, Value> = self
            .documents
            .iter()
            .map(|frame| {
                let document = json!({
                    "file": frame.built.file,
                    "integrity": sha384(&frame.built.content),
                    "script_hashes": frame.scripts,
                    "style_hashes": [frame.style],
                    "preload": frame.preload,
                });
                (frame.layout.clone(), document)
            })
            .collect();
        sizes.insert("frame_brotli_total".to_owned(), self.frame_total().into());
        json!({
            "version": self.version,
            "inputs": self.inputs,
            "loader": {
                "file": self.loader.file,
                "integrity": sha384(&self.loader.content),
            },
            "documents": documents,
            "assets": self.assets.iter().map(|(built, content_type)| built.asset(content_type)).collect::<Vec<_>>(),
            "sizes": sizes,
        })
    }

    /// Prints the sizes; fails when the frame is over its budget and every tool has done its part.
    pub fn judge_sizes(&self, is_optimised: bool) -> Result<()> {
        say(format!("{:<22} {:>10} {:>10}", "", "bytes", "brotli"));
        for built in self.files().filter(|built| built.label != WORDS) {
            say(format!(
                "{:<22} {:>10} {:>10}",
                built.label,
                built.content.len(),
                built.brotli.len()
            ));
        }
        let words = self.assets.iter().map(|(built, _)| *built);
        let words = words.filter(|built| built.label == WORDS);
        if let Some(largest) = words.max_by_key(|words| words.brotli.len()) {
            say(format!(
                "{:<22} {:>10} {:>10} (the largest of {} languages, on demand)",
                largest.label,
                largest.content.len(),
                largest.brotli.len(),
                self.words
            ));
        }
        let total = self.frame_total();
        say(format!(
            "{:<22} {:>10} {total:>10} of {BUDGET} (document card and wasm)",
            "frame", ""
        ));
        if !is_optimised {
            say("frame: not optimised (no npm), so the budget does not bind");
            return Ok(());
        }
        ensure!(
            total <= BUDGET,
            "the frame is over its budget: {total} of {BUDGET} bytes"
        );
        let loader = self.loader.brotli.len();
        ensure!(
            loader <= LOADER_BUDGET,
            "the loader is over its budget: {loader} of {LOADER_BUDGET} bytes"
        );
        Ok(())
    }
}

/// The fingerprint of the sources that the frame in `out` was built from.
pub fn inputs_of(out: &Path) -> Option<String> {
    let text = fs::read_to_string(out.join("manifest.json")).ok()?;
    let manifest: Value = serde_json::from_str(&text).ok()?;
    manifest.get("inputs")?.as_str().map(str::to_owned)
}

/// Subresource integrity, as `script`, `fetch` and CSP write it.
pub fn integrity(algorithm: &str, digest: &[u8]) -> String {
    format!("{algorithm}-{}", STANDARD.encode(digest))
}

/// SHA-256 integrity, for CSP.
pub fn sha256(content: &[u8]) -> String {
    integrity("sha256", &Sha256::digest(content))
}

/// SHA-384 integrity, for scripts and fetches.
pub fn sha384(content: &[u8]) -> String {
    integrity("sha384", &Sha384::digest(content))
}

/// The first 16 hex digits of SHA-256, for file names.
pub fn short_hash(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_written_as_browsers_read_them() {
        assert_eq!(
            sha256(b""),
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        );
        assert!(sha384(b"").starts_with("sha384-OLBgp1GsljhM2TJ+sbHjaiH9txEUvgdD"));
        assert_eq!(short_hash(b""), "e3b0c44298fc1c14");
    }

    #[test]
    fn the_loader_is_told_but_not_counted() {
        let built =
            |label: &str| Built::new(label, label.to_owned(), b"aaaa".to_vec()).expect("brotli");
        let (wasm, loader, payments) = (built("wasm"), built("loader"), built("payments"));
        let page = Page {
            kind: CARD,
            markup: "",
            css: "t",
            front: "",
            script: "s",
            wasm: None,
            plain: None,
        };
        let documents = [CARD, "split"]
            .map(|layout| Frame::new(layout.to_owned(), "aaaa".to_owned(), &page).expect("brotli"));
        let manifest = Manifest {
            version: "1",
            inputs: "i",
            documents: &documents,
            loader: &loader,
            assets: &[(&wasm, "application/wasm"), (&payments, "text/javascript")],
            words: 0,
        };
        let json = manifest.json();
        assert_eq!(json["sizes"]["loader"]["bytes"], 4);
        assert_eq!(json["documents"]["split"]["file"], "split.html");
        assert_eq!(
            json["sizes"]["frame_brotli_total"],
            documents[0].built.brotli.len() + wasm.brotli.len()
        );
        assert!(manifest.judge_sizes(true).is_ok());
        // What brotli cannot shrink.
        let noise = (0..200_u8).flat_map(|n| Sha256::digest([n])).collect();
        let loader = Built::new("loader", "loader".to_owned(), noise).expect("brotli");
        let heavy = Manifest {
            loader: &loader,
            ..manifest
        };
        assert!(heavy.judge_sizes(true).is_err() && heavy.judge_sizes(false).is_ok());
    }
}
