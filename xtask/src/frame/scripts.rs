//! Scripts out of several files: the path without WebAssembly, of `checkout-wasm/plain/` and the tables that the Rust wrote;
//! and the front of every document that has a channel, of `checkout-wasm/src/browser/`.
//!
//! Each file becomes a closure that gives what it exports. A bundler would do the same, but the frame must build
//! without npm.

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

/// The script of the path without WebAssembly, named by its hash.
///
/// # Errors
/// A file is missing or has an import or export of a form that is not understood; or it is over its budget.
pub fn plain(root: &Path, npm: &Npm, tables: &str) -> Result<Built> {
    let files = joined(&root.join("checkout-wasm/plain"), &PLAIN)?;
    let script = format!("const TABLES = {tables};\n{files}");
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

fn joined(folder: &Path, files: &[&str]) -> Result<String> {
    let mut script = String::new();
    for file in files {
        let path = folder.join(file);
        let source =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        script += &closure(&source).with_context(|| format!("joining {file}"))?;
    }
    Ok(script)
}

/// A module as a closure: its imports are names around it, its exports what it gives.
fn closure(source: &str) -> Result<String> {
    let mut exports = vec![];
    let mut body = String::new();
    let mut is_import = false;
    for line in source.lines() {
        is_import |= line.starts_with("import ");
        if is_import {
            is_import = !line.ends_with(';');
            continue;
        }
        let Some(declaration) = line.strip_prefix("export ") else {
            body += line;
            body.push('\n');
            continue;
        };
        exports.push(name(declaration)?);
        body += declaration;
        body.push('\n');
    }
    Ok(format!(
        "const {{ {0} }} = (() => {{\n{body}return {{ {0} }};\n}})();\n",
        exports.join(", ")
    ))
}

/// The name that a declaration gives.
fn name(declaration: &str) -> Result<&str> {
    let rest = ["const ", "class ", "function ", "async function "]
        .into_iter()
        .find_map(|keyword| declaration.strip_prefix(keyword));
    match rest.and_then(|rest| rest.split([' ', '(']).next()) {
        Some(name) => Ok(name),
        None => bail!("not an export that can be joined: {declaration}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_becomes_a_closure() {
        let source = "import {\n  a,\n  b,\n} from \"./x.js\";\nexport const one = a;\nconst two = b;\nexport function go() {}\n";
        assert_eq!(
            closure(source).expect("a closure"),
            "const { one, go } = (() => {\nconst one = a;\nconst two = b;\nfunction go() {}\nreturn { one, go };\n})();\n"
        );
        assert!(closure("export { one };\n").is_err());
    }
}
