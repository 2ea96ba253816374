//! Fonts that the operator offers to pages: files of the vault's own, under the family's name. A page names a family, and
//! nothing else is ever loaded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

use super::files::{File, FrameFiles};

/// Where the frame finds which families there are.
pub(super) const LIST: &str = "assets/fonts.json";

/// A font's family and file, written `Inter=inter.woff2`.
#[derive(Debug, Clone)]
pub struct Font {
    family: String,
    file: PathBuf,
}

impl FromStr for Font {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (family, file) = text.split_once('=').ok_or("write FAMILY=FILE.woff2")?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let begins = family.starts_with(|c: char| c.is_ascii_alphabetic());
        if !begins || family.len() > 50 || !family.chars().all(is_name) {
            return Err("a family is letters, digits, spaces, - and _".to_owned());
        }
        Ok(Self {
            family: family.to_owned(),
            file: file.into(),
        })
    }
}

impl FrameFiles {
    /// Offers fonts: each under the hash of its content, and the list of families beside them.
    ///
    /// # Errors
    /// Which file is missing or no WOFF2.
    pub fn with_fonts(mut self, fonts: &[Font]) -> anyhow::Result<Self> {
        let mut list = BTreeMap::new();
        for Font { family, file } in fonts {
            let content =
                std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            ensure!(
                content.starts_with(b"wOF2"),
                "{} is no WOFF2",
                file.display()
            );
            let hash = Sha256::digest(&content);
            let hash: String = hash
                .iter()
                .take(8)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let name = format!("assets/font-{hash}.woff2");
            self.add(&name, File::of(content, "font/woff2"));
            list.insert(family, name);
        }
        if !list.is_empty() {
            let json = serde_json::to_vec(&list)?;
            self.add(LIST, File::of(json, "application/json"));
        }
        Ok(self)
    }
}
