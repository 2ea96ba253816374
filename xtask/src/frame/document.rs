//! The frame's documents: each one file with its style and its scripts, under hashes that the vault's CSP names.

use anyhow::{Context, Result, ensure};

use super::manifest::{Built, sha256};

/// The parts of the HTML that Trunk (or [`super::description`]) left behind.
pub struct Document {
    /// Markup with empty `<style></style>` and without scripts of the build's.
    html: String,
    /// The stylesheet as written.
    pub css: String,
    /// `data-js` of the placeholder script.
    pub js: String,
    /// `data-wasm` of the placeholder script.
    pub wasm: String,
}

const STYLE: (&str, &str) = ("<style>", "</style>");
const SCRIPT: (&str, &str) = ("<script type=\"module\" data-js=\"", "</script>");
const PRELOAD: (&str, &str) = ("<link rel=\"preload\" as=\"fetch\"", ">");

impl Document {
    /// Takes the HTML apart.
    pub fn parse(html: &str) -> Result<Self> {
        let mut html = html.to_owned();
        let style = cut(&mut html, STYLE, "<style></style>").context("no style in the HTML")?;
        let script = cut(&mut html, SCRIPT, "").context("no placeholder script in the HTML")?;
        cut(&mut html, PRELOAD, "").context("no preload in the HTML")?;
        let mut names = script.split('"').skip(3).step_by(2);
        let (js, wasm) = names
            .next()
            .zip(names.next())
            .context("no names in the script")?;
        ensure!(!html.contains("data-trunk"), "a link was not resolved");
        Ok(Self {
            css: style[STYLE.0.len()..style.len() - STYLE.1.len()].to_owned(),
            js: js.to_owned(),
            wasm: wasm.to_owned(),
            html: html.lines().map(str::trim).collect(),
        })
    }

    /// Puts a document together.
    pub fn write(&self, page: &Page<'_>) -> Result<String> {
        let Page { css, script, .. } = page;
        ensure!(
            ![script, page.front]
                .iter()
                .any(|one| one.contains("</script"))
                && !css.contains("</style"),
            "an end tag inside script or style would end it"
        );
        // Of no type that runs: it is fetched when the script gives it one, and not before.
        let plain = page.plain.map_or_else(String::new, |plain| {
            let (file, integrity) = (&plain.file, sha256(&plain.content));
            format!("<script type=\"plain\" src=\"{file}\" integrity=\"{integrity}\"></script>")
        });
        // At once, while what follows is still on its way; a module would wait for the document's end.
        let front = match page.front {
            "" => String::new(),
            front => format!("<script>{front}</script>"),
        };
        let (kind, markup) = (page.kind, page.markup);
        Ok(self
            .html
            .replace("<html ", &format!("<html data-layout=\"{kind}\" "))
            .replace("<style></style>", &format!("<style>{css}</style>"))
            .replace("<body>", &format!("<body>{markup}{front}"))
            .replace(
                "</body>",
                &format!("<script type=\"module\">{script}</script>{plain}</body>"),
            ))
    }
}

/// What makes one document another than the next.
#[derive(Clone, Copy)]
pub struct Page<'a> {
    /// `data-layout`, for the style.
    pub kind: &'a str,
    /// What the body begins with: the wasm takes it over by position, so nothing may stand before it.
    pub markup: &'a str,
    /// The style.
    pub css: &'a str,
    /// The script that shows the form and opens the channel, where the document has one of its own.
    pub front: &'a str,
    /// The script.
    pub script: &'a str,
    /// The wasm's URL relative to the document, where it runs any. The vault names it in a header, which comes before the
    /// document does.
    pub wasm: Option<&'a str>,
    /// The script for browsers without WebAssembly, where the document runs wasm.
    pub plain: Option<&'a Built>,
}

/// Replaces the first element from `start` to `end`, and gives what it was.
fn cut(html: &mut String, (start, end): (&str, &str), with: &str) -> Option<String> {
    let from = html.find(start)?;
    let to = from + html[from..].find(end)? + end.len();
    let was = html[from..to].to_owned();
    html.replace_range(from..to, with);
    Some(was)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_apart_and_together() {
        let document = Document::parse(concat!(
            "<html lang=\"en\"><head>\n  <style>a { b: c }</style>\n",
            "<link rel=\"preload\" as=\"fetch\" crossorigin href=\"x.wasm\"></head>\n",
            "<body>\n  <script type=\"module\" data-js=\"x.js\" data-wasm=\"x.wasm\"></script>\n</body>",
        ))
        .expect("a document");
        assert_eq!(
            (document.js.as_str(), document.wasm.as_str()),
            ("x.js", "x.wasm")
        );
        assert_eq!(document.css, "a { b: c }");
        let page = Page {
            kind: "card",
            markup: "<form></form>",
            css: "a{b:c}",
            front: "",
            script: "go()",
            wasm: Some("assets/x.wasm"),
            plain: None,
        };
        assert_eq!(
            document.write(&page).expect("html"),
            concat!(
                "<html data-layout=\"card\" lang=\"en\"><head><style>a{b:c}</style></head>",
                "<body><form></form><script type=\"module\">go()</script></body>"
            )
        );
        let plain = Built::new("plain", "assets/p.js".to_owned(), b"".to_vec()).expect("brotli");
        let with_plain = Page {
            plain: Some(&plain),
            ..page
        };
        let html = document.write(&with_plain).expect("html");
        assert!(html.ends_with(concat!(
            "</script><script type=\"plain\" src=\"assets/p.js\" ",
            "integrity=\"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"></script></body>"
        )));
        let with_front = Page {
            front: "show()",
            ..page
        };
        let html = document.write(&with_front).expect("html");
        // It runs as soon as the fields are parsed.
        assert!(html.contains("</form><script>show()</script><script type=\"module\">go()"));
        let end = "'</script>'";
        for ended in [
            Page {
                script: end,
                ..page
            },
            Page { front: end, ..page },
        ] {
            assert!(document.write(&ended).is_err());
        }
    }
}
