//! Scripts out of several files: the path without WebAssembly, of `checkout-wasm/plain/` and the tables that the Rust wrote;
//! the front of every document that has a channel, of `checkout-wasm/src/browser/`; and the loader, of `checkout-wasm/sdk/`.
//!
//! The files of a script share one scope. A bundler would do the same, but the frame must build without npm.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::manifest::Built;
use super::tools::Npm;

/// The files of the path without WebAssembly, each after those that it imports from.
const PLAIN: [&str; 5] = ["rules.js", "edit.js", "form.js", "vault.js", "frame.js"];

/// Those of the front, each after those that it imports from.
pub const FRONT: [&str; 6] = [
    "extras.js",
    "forget.js",
    "look.js",
    "siblings.js",
    "watch.js",
    "front.js",
];

/// Those of the loader, each after those that it imports from. Constants at the head of a scope are inlined, so they are first.
const LOADER: [&str; 7] = [
    "loader/limits.js",
    "loader/page.js",
    "loader/paying.js",
    "loader/mount.js",
    "loader/elements.js",
    "loader/cardseal-card.js",
    "cardseal.js",
];

/// What it may weigh, brotli.
pub const BUDGET: usize = 15_000;

/// The front, of these files and with these constants before them. What it gives to the others it gives by name; all else is its own.
///
/// # Errors
/// A file is missing or has an import or export of a form that is not understood.
pub fn front(root: &Path, npm: &Npm, constants: &str, files: &[&str]) -> Result<String> {
    let files = joined(&root.join("checkout-wasm/src/browser"), files)?;
    let script = format!("(() => {{\n\"use strict\";\n{constants}{files}}})();\n");
    Ok(npm.minify("js", &script)?.trim().to_owned())
}

/// The loader, not minified yet. It leaves no name on the merchant's page but those that it means to.
///
/// # Errors
/// A file is missing or has an import or export of a form that is not understood.
pub fn loader(root: &Path) -> Result<String> {
    let files = joined(&root.join("checkout-wasm/sdk"), &LOADER)?;
    Ok(format!("(() => {{\n\"use strict\";\n{files}}})();\n"))
}

/// The script of the path without WebAssembly, named by its hash.
///
/// # Errors
/// A file is missing or has an import or export of a form that is not understood; or it is over its budget.
pub fn plain(root: &Path, npm: &Npm, tables: &str) -> Result<Built> {
    let files = joined(&root.join("checkout-wasm/plain"), &PLAIN)?;
    let script = format!("(() => {{\nconst TABLES = {tables};\n{files}}})();\n");
    let content = npm.minify("js", &script)?.into_bytes();
    let file = format!("assets/plain-{}.js", super::manifest::short_hash(&content));
    let built = Built::new("plain", file, content)?;
    ensure!(
        !npm.is_complete() || built.brotli.len() <= BUDGET,
        "the path without WebAssembly is over its budget: {} of {BUDGET} bytes",
        built.brotli.len()
    );
    Ok(built)
}

/// One scope of several files: what one exports is a name that the others have, so a name stands for one thing in all of them.
fn joined(folder: &Path, files: &[&str]) -> Result<String> {
    let mut script = String::new();
    for file in files {
        let path = folder.join(file);
        let source =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        script += &part(&source).with_context(|| format!("joining {file}"))?;
    }
    Ok(script)
}

/// A module without its imports and exports.
fn part(source: &str) -> Result<String> {
    let mut body = String::new();
    let mut is_import = false;
    for line in source.lines() {
        is_import |= line.starts_with("import ");
        if is_import {
            is_import = !line.ends_with(';');
            continue;
        }
        let line = match line.strip_prefix("export ") {
            Some(declaration) if is_declaration(declaration) => declaration,
            Some(_) => bail!("not an export that can be joined: {line}"),
            None => line,
        };
        body += line;
        body.push('\n');
    }
    Ok(body)
}

fn is_declaration(line: &str) -> bool {
    ["const ", "class ", "function ", "async function "]
        .iter()
        .any(|keyword| line.starts_with(keyword))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_and_exports_go() {
        let source = "import {\n  a,\n  b,\n} from \"./x.js\";\nexport const one = a;\nconst two = b;\nexport function go() {}\n";
        assert_eq!(
            part(source).expect("a part"),
            "const one = a;\nconst two = b;\nfunction go() {}\n"
        );
        assert!(part("export { one };\n").is_err());
    }
}
