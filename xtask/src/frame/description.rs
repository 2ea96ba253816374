//! What `Trunk.toml` and the HTML it points at say, read the way Trunk 0.21 reads it.
//!
//! Only what this repository uses is understood: `rel="inline"` stylesheets and one `rel="rust"` link. Anything else
//! is an error, so that the two builds cannot drift apart unseen.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The build as described.
pub struct Description {
    html: String,
    directory: PathBuf,
    script: String,
    preload: String,
    /// `[build] locked`.
    pub locked: bool,
    /// `data-bin`.
    pub bin: String,
    /// `data-cargo-profile`.
    pub profile: String,
    /// The package's manifest.
    pub manifest: PathBuf,
}

impl Description {
    /// Reads `Trunk.toml` in `root` and its target.
    pub fn read(root: &Path) -> Result<Self> {
        let text = fs::read_to_string(root.join("Trunk.toml")).context("reading Trunk.toml")?;
        let config: toml::Table = text.parse().context("parsing Trunk.toml")?;
        let build = config
            .get("build")
            .and_then(toml::Value::as_table)
            .context("Trunk.toml has no [build]")?;
        let string = |key: &str| {
            build
                .get(key)
                .and_then(toml::Value::as_str)
                .map(str::to_owned)
                .with_context(|| format!("Trunk.toml has no build.{key}"))
        };
        let target = root.join(string("target")?);
        let html = fs::read_to_string(&target).context("reading the frame's HTML")?;
        let directory = target.parent().unwrap_or(root).to_path_buf();
        let rust = links(&html)
            .find(|link| attribute(link, "rel") == Some("rust"))
            .context("the frame's HTML has no rust link")?;
        let of_rust = |name: &str| {
            attribute(rust, name)
                .map(str::to_owned)
                .with_context(|| format!("the rust link has no {name}"))
        };
        Ok(Self {
            script: string("pattern_script")?,
            preload: string("pattern_preload")?,
            locked: build.get("locked").and_then(toml::Value::as_bool) == Some(true),
            bin: of_rust("data-bin")?,
            profile: of_rust("data-cargo-profile")?,
            manifest: directory.join(of_rust("href")?),
            html,
            directory,
        })
    }

    /// The HTML with its links resolved.
    pub fn render(&self, js: &str, wasm: &str) -> Result<String> {
        let fill = |pattern: &str| {
            pattern
                .replace("{base}", "./")
                .replace("{js}", js)
                .replace("{wasm}", wasm)
        };
        let mut html = self.html.clone();
        for link in links(&self.html) {
            let replacement = match attribute(link, "rel") {
                Some("rust") => fill(&self.script),
                Some("inline") => self.inline_style(link)?,
                other => bail!("index.html: a data-trunk link of rel {other:?} is not built here"),
            };
            html = html.replace(link, &replacement);
        }
        Ok(html.replace("</head>", &(fill(&self.preload) + "</head>")))
    }

    fn inline_style(&self, link: &str) -> Result<String> {
        let href = attribute(link, "href").context("an inline link has no href")?;
        let css = fs::read_to_string(self.directory.join(href))
            .with_context(|| format!("reading {href}"))?;
        Ok(format!("<style>{css}</style>"))
    }
}

/// Every `<link data-trunk ..>`.
fn links(html: &str) -> impl Iterator<Item = &str> {
    html.match_indices("<link data-trunk").map(|(start, _)| {
        let end = html[start..]
            .find('>')
            .map_or(html.len(), |end| start + end + 1);
        &html[start..end]
    })
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    tag[start..].split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_attributes_are_found() {
        let html =
            r#"<head><link rel="icon"><link data-trunk rel="rust" href="Cargo.toml"></head>"#;
        let found: Vec<_> = links(html).collect();
        assert_eq!(found, [r#"<link data-trunk rel="rust" href="Cargo.toml">"#]);
        assert_eq!(attribute(found[0], "href"), Some("Cargo.toml"));
        assert_eq!(attribute(found[0], "ref"), None);
    }

    #[test]
    fn the_repositorys_description_renders() {
        let description =
            Description::read(&crate::workspace::root().expect("a workspace")).expect("readable");
        assert_eq!(
            (description.bin.as_str(), description.profile.as_str()),
            ("checkout-wasm", "z")
        );
        let html = description.render("a.js", "a.wasm").expect("renderable");
        assert!(html.contains("data-js=\"a.js\"") && html.contains("<style>"));
        assert!(!html.contains("data-trunk"));
    }
}
