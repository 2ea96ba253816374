//! The tables of what the frame weighs, in `README.md` by part and in `docs/figures.md` by feature: written by `cargo xtask
//! frame --features`, and held against the build by `cargo xtask test`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::features::{self, Functions};
use super::manifest::{BUDGET, LOADER_BUDGET, brotli};
use super::scripts;
use super::tools::{Npm, rustc_version};
use crate::say::say;

/// So far a line may be from what is built, in bytes: a change elsewhere moves each of them by some.
const TOLERANCE: usize = 250;

/// What each file of the front is for.
const FRONT: [(&str, &str); 6] = [
    (
        "extras.js",
        "document: optional fields, networks, languages",
    ),
    ("forget.js", "document: what was typed is wiped"),
    ("look.js", "document: the merchant's look, parsed"),
    ("siblings.js", "document: field pages found"),
    ("watch.js", "document: height and visibility"),
    ("front.js", "document: channel, and what is shown at once"),
];

/// A file, what its table stands between, its head, and its lines: what, bytes, and the cells after them.
struct Table {
    file: &'static str,
    name: &'static str,
    head: String,
    lines: Vec<(String, usize, String)>,
}

/// Writes both tables.
///
/// # Errors
/// There is no frame, a part of it has no name, or a file has no place for its table.
pub fn write(root: &Path, out: &Path) -> Result<()> {
    let npm = Npm::install(root)?;
    ensure!(
        npm.is_complete(),
        "without npm the frame is not what is released: nothing to weigh"
    );
    for table in tables(root, out, &npm)? {
        let path = root.join(table.file);
        let text = fs::read_to_string(&path)?;
        let (before, _, after) = table.place(&text)?;
        let rows: String = table
            .lines
            .iter()
            .map(|(what, bytes, rest)| format!("| {what} | {} |{rest}\n", grouped(*bytes)))
            .collect();
        fs::write(&path, format!("{before}\n{}{rows}{after}", table.head))?;
        say(format!("frame: {} of {} written", table.name, table.file));
    }
    Ok(())
}

/// The lines that are not true any more; none to judge where the build is not what is released, or another compiler's.
///
/// # Errors
/// There is no frame, or a part of it has no name.
pub fn stale(root: &Path, out: &Path) -> Result<Option<Vec<String>>> {
    let npm = Npm::install(root)?;
    if !npm.is_complete() {
        return Ok(None);
    }
    let mut stale = vec![];
    for table in tables(root, out, &npm)? {
        let text = fs::read_to_string(root.join(table.file))?;
        if !table.place(&text)?.1.contains(&compiler()?) {
            return Ok(None);
        }
        stale.extend(table.stale(&text)?);
    }
    Ok(Some(stale))
}

/// `rustc 1.95.0`: another one makes other bytes.
fn compiler() -> Result<String> {
    let said = rustc_version()?;
    Ok(said.split(' ').take(2).collect::<Vec<_>>().join(" "))
}

fn tables(root: &Path, out: &Path, npm: &Npm) -> Result<[Table; 2]> {
    let manifest: Value = serde_json::from_str(&fs::read_to_string(out.join("manifest.json"))?)?;
    Ok([parts(&manifest)?, costs(root, out, npm)?])
}

/// What is fetched, from the manifest's sizes.
fn parts(manifest: &Value) -> Result<Table> {
    let size = |label: &str| {
        let size = &manifest["sizes"][label];
        let bytes = size["brotli"].as_u64().or_else(|| size.as_u64());
        bytes
            .map(|bytes| bytes as usize)
            .with_context(|| format!("the manifest has no size of {label}"))
    };
    let fields = ["number", "expiry", "cvc", "name", "postal", "save"]
        .map(|field| size(&format!("document field-{field}")));
    let field = fields.into_iter().collect::<Result<Vec<_>>>()?;
    let lines = [
        (
            "loader",
            size("loader")?,
            Some(LOADER_BUDGET),
            "by every page",
        ),
        (
            "frame: document with scripts, style and form",
            size("document card")?,
            None,
            "with the card form",
        ),
        (
            "frame: WebAssembly, all brands, English",
            size("wasm")?,
            None,
            "",
        ),
        ("frame, both", size("frame_brotli_total")?, Some(BUDGET), ""),
        (
            "what pays from the page",
            size("payments")?,
            None,
            "when a page first pays",
        ),
        (
            "a field page of a split form, at most",
            field.into_iter().max().unwrap_or_default(),
            None,
            "each, beside the frame",
        ),
        (
            "the form without WebAssembly",
            size("plain")?,
            Some(scripts::BUDGET),
            "where the WebAssembly does not come",
        ),
    ];
    let cells = |budget: Option<usize>, fetched| {
        let budget = budget.map(grouped).unwrap_or_default();
        format!(" {budget} | {fetched} |")
    };
    Ok(Table {
        file: "README.md",
        name: "frame parts",
        head: format!(
            "| part | bytes, {} | budget | fetched |\n|---|---|---|---|\n",
            compiler()?
        ),
        lines: lines
            .into_iter()
            .map(|(what, bytes, budget, fetched)| (what.to_owned(), bytes, cells(budget, fetched)))
            .collect(),
    })
}

/// What each feature costs.
fn costs(root: &Path, out: &Path, npm: &Npm) -> Result<Table> {
    let named = fs::read(out.join(features::NAMED)).context("reading the wasm with its names")?;
    let wasm = Functions::of(&named)?.costs()?;
    let wasm = wasm
        .into_iter()
        .map(|(feature, bytes)| (format!("wasm: {feature}"), bytes));
    let document = fs::read_to_string(out.join("index.html"))?;
    let lines = document_costs(root, npm, &document)?.into_iter();
    Ok(Table {
        file: "docs/figures.md",
        name: "frame features",
        head: format!("| feature | bytes, {} |\n|---|---|\n", compiler()?),
        lines: wasm
            .chain(lines)
            .map(|(what, bytes)| (what, bytes, String::new()))
            .collect(),
    })
}

/// What each part of the document costs: without it there would be so many bytes less.
fn document_costs(root: &Path, npm: &Npm, document: &str) -> Result<Vec<(String, usize)>> {
    let between = |open: &str, close: &str| {
        let from = document.find(open).map(|at| at + open.len());
        let from = from.with_context(|| format!("the document has no {open}"))?;
        let length = document[from..].find(close).context("no end of it")?;
        anyhow::Ok(&document[from..from + length])
    };
    let front = between("<script>", "</script>")?;
    let with_front = |files: &[&str]| {
        let front_now = scripts::front(root, npm, "", files)?;
        anyhow::Ok(brotli(document.replace(front, &front_now).as_bytes())?.len())
    };
    let whole = brotli(document.as_bytes())?.len();
    let without = |part: &str| {
        let left = document.replacen(part, "", 1);
        anyhow::Ok(whole.saturating_sub(brotli(left.as_bytes())?.len()))
    };
    let mut costs = vec![
        (
            "document: style".to_owned(),
            without(between("<style>", "</style>")?)?,
        ),
        (
            "document: the form's markup".to_owned(),
            without(between("<body>", "<script>")?)?,
        ),
        (
            "document: sealing, posting, proof of work, what calls the wasm".to_owned(),
            without(between("<script type=\"module\">", "</script>")?)?,
        ),
    ];
    // The constants of a build are left out on both sides.
    let all = with_front(&scripts::FRONT)?;
    for file in scripts::FRONT {
        let what = FRONT.iter().find(|(name, _)| *name == file);
        let (_, what) = what.with_context(|| format!("{file} has no name in weights.rs"))?;
        let others = scripts::FRONT.into_iter().filter(|other| *other != file);
        let left = with_front(&others.collect::<Vec<_>>())?;
        costs.push(((*what).to_owned(), all.saturating_sub(left)));
    }
    costs.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    Ok(costs)
}

impl Table {
    /// What is before, in and after the place of the table.
    fn place<'a>(&self, text: &'a str) -> Result<(&'a str, &'a str, &'a str)> {
        let (open, close) = (
            format!("<!-- {} -->\n", self.name),
            format!("\n<!-- end of {} -->", self.name),
        );
        let from = text.find(&open).map(|at| at + open.len());
        let to = text.find(&close);
        let (from, to) = from
            .zip(to)
            .filter(|(from, to)| from <= to)
            .with_context(|| format!("{} has no place for the {}", self.file, self.name))?;
        Ok((&text[..from], &text[from..to], &text[to..]))
    }

    fn stale(&self, text: &str) -> Result<Vec<String>> {
        let (_, written, _) = self.place(text)?;
        let written: Vec<_> = written
            .lines()
            .filter_map(|line| {
                let mut cells = line.split('|').skip(1).map(str::trim);
                let what = cells.next()?;
                let bytes = cells.next()?.replace(',', "").parse::<usize>().ok()?;
                Some((what, bytes))
            })
            .collect();
        let mut stale = vec![];
        for (what, bytes, _) in &self.lines {
            let found = written.iter().find(|(name, _)| name == what);
            if found.is_none_or(|(_, was)| was.abs_diff(*bytes) > TOLERANCE) {
                let was = found.map_or("nothing".to_owned(), |(_, was)| grouped(*was));
                stale.push(format!(
                    "{}: {what} is {}, and {was} is written",
                    self.file,
                    grouped(*bytes)
                ));
            }
        }
        for (name, _) in written {
            if !self.lines.iter().any(|(what, ..)| what == name) {
                stale.push(format!("{}: there is no {name}", self.file));
            }
        }
        Ok(stale)
    }
}

/// `12,345`.
fn grouped(bytes: usize) -> String {
    match (bytes / 1000, bytes % 1000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{thousands},{rest:03}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_true_is_found() {
        let line = |what: &str, bytes| (what.to_owned(), bytes, String::new());
        let table = Table {
            file: "x.md",
            name: "frame parts",
            head: String::new(),
            lines: vec![line("one", 12_000), line("two", 40)],
        };
        let text = |rows: &str| {
            format!(
                "a\n<!-- frame parts -->\n| part | bytes |\n|---|---|\n{rows}\n<!-- end of frame parts -->\nb"
            )
        };
        let stale = |rows: &str| table.stale(&text(rows)).expect("a place").len();
        assert_eq!(stale("| one | 12,250 | |\n| two | 40 | |"), 0);
        assert_eq!(stale("| one | 12,251 | |\n| two | 40 | |"), 1);
        assert_eq!(stale("| one | 12,000 | |"), 1);
        assert_eq!(
            stale("| one | 12,000 | |\n| two | 40 | |\n| three | 1 | |"),
            1
        );
        assert!(table.stale("nothing").is_err());
        assert_eq!([999, 1000, 60_050].map(grouped), ["999", "1,000", "60,050"]);
    }
}
