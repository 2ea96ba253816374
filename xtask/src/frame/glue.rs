//! One script out of wasm-bindgen's glue: snippets inside, dead code outside, names as `wasm-trim` gave them.
//!
//! A bundler would do the first half, but the frame must build without npm; and none knows which imports the trimmed
//! wasm still has.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Where wasm-bindgen puts the classes that crates export; the frame exports none and `wasm-trim` drops the others'.
const CLASSES: &str = "export class ";
const AFTER_CLASSES: &str = "function __wbg_get_imports()";

/// How an entry of the import table begins: eight spaces and a name of wasm-bindgen's.
const ENTRY: &str = "        __wb";

/// The script: snippets, glue, constants for `boot`, `boot`.
pub fn script(
    glue: &str,
    stage: &Path,
    names: &str,
    constants: &str,
    boot: &str,
) -> Result<String> {
    let names = Names::parse(names);
    let (imports, body): (Vec<&str>, Vec<&str>) =
        glue.lines().partition(|line| line.starts_with("import "));
    let mut script = String::new();
    for import in imports {
        script += &snippet(import, stage)?;
    }
    let body = without_classes(&body.join("\n"));
    script += &names.rename_exports(&names.rename_imports(&body));
    script += constants;
    script += boot;
    Ok(script)
}

/// `import { a, b } from './x.js';` as a closure that gives `a` and `b`.
fn snippet(import: &str, stage: &Path) -> Result<String> {
    let parts: Vec<&str> = import.split(['{', '}', '\'']).collect();
    let [_, names, _, path, ..] = parts.as_slice() else {
        anyhow::bail!("not an import of names: {import}");
    };
    let source = fs::read_to_string(stage.join(path)).with_context(|| format!("reading {path}"))?;
    let source = source
        .lines()
        .map(|line| line.strip_prefix("export ").unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n");
    let outer = names.replace(" as ", ": ");
    let inner = names
        .split(',')
        .filter_map(|name| name.split_whitespace().next())
        .collect::<Vec<_>>()
        .join(", ");
    Ok(format!(
        "const {{{outer}}} = (() => {{\n{source}\nreturn {{ {inner} }};\n}})();\n"
    ))
}

fn without_classes(glue: &str) -> String {
    let classes = glue.find(CLASSES).zip(glue.find(AFTER_CLASSES));
    let mut glue = match classes {
        Some((start, end)) if start < end => [&glue[..start], &glue[end..]].concat(),
        _ => glue.to_owned(),
    };
    // The classes' finalisers, and the export list: the script is the last module there is.
    for start in ["const IntoUnderlying", "export {"] {
        while let Some((from, length)) = statement(&glue, start) {
            glue.replace_range(from..from + length, "");
        }
    }
    glue
}

/// The statement at the beginning of a line that starts so.
fn statement(text: &str, start: &str) -> Option<(usize, usize)> {
    let at = text.find(&format!("\n{start}"))? + 1;
    let length = text[at..]
        .find(";\n")
        .map_or(text.len() - at, |end| end + 2);
    Some((at, length))
}

/// What `wasm-trim` renamed.
struct Names<'a> {
    imports: HashMap<&'a str, &'a str>,
    exports: Vec<(&'a str, &'a str)>,
}

impl<'a> Names<'a> {
    fn parse(lines: &'a str) -> Self {
        let mut names = Self {
            imports: HashMap::new(),
            exports: Vec::new(),
        };
        for line in lines.lines() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["import", old, new] => _ = names.imports.insert(old, new),
                ["export", old, new] => names.exports.push((old, new)),
                _ => {}
            }
        }
        names
    }

    /// Renames the entries of the import table and drops those the wasm no longer has.
    fn rename_imports(&self, glue: &str) -> String {
        let mut out = String::with_capacity(glue.len());
        let mut keeps = true;
        for line in glue.lines() {
            if line.starts_with("    };") {
                keeps = true;
            }
            if let Some((old, rest)) = line
                .strip_prefix("        ")
                .and_then(|l| l.split_once(": "))
                && line.starts_with(ENTRY)
            {
                let new = self.imports.get(old);
                keeps = new.is_some();
                if let Some(new) = new {
                    out += &format!("        {new}: {rest}\n");
                }
                continue;
            }
            if keeps {
                out += line;
                out.push('\n');
            }
        }
        out
    }

    fn rename_exports(&self, glue: &str) -> String {
        // Longest first: one name may begin another.
        let mut exports = self.exports.clone();
        exports.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        exports.iter().fold(glue.to_owned(), |glue, (old, new)| {
            glue.replace(&format!("wasm.{old}"), &format!("wasm.{new}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLUE: &str = "\
export class Dead {
    free() { wasm.dead(); }
}
if (Symbol.dispose) Dead.prototype[Symbol.dispose] = Dead.prototype.free;
function __wbg_get_imports() {
    const import0 = {
        __proto__: null,
        __wbg_used_01: function(arg0) {
            return arg0;
        },
        __wbg_dead_02: function() { return handleError(function (arg0) {
            return arg0.dead();
        }, arguments); },
    };
    return import0;
}
function call(arg0) {
    wasm.invoke__h1_13(arg0);
    wasm.invoke__h1(arg0);
}
const IntoUnderlyingX = (typeof FinalizationRegistry === 'undefined')
    ? { register: () => {} }
    : new FinalizationRegistry(ptr => wasm.x(ptr));
export { initSync, __wbg_init as default };
";

    #[test]
    fn glue_is_cut_and_renamed() {
        let names = "import __wbg_used_01 i0\nexport invoke__h1 e0\nexport invoke__h1_13 e1\n";
        let script =
            script(GLUE, Path::new("."), names, "const X = 1;\n", "boot();").expect("a script");
        assert_eq!(
            script,
            "\
function __wbg_get_imports() {
    const import0 = {
        __proto__: null,
        i0: function(arg0) {
            return arg0;
        },
    };
    return import0;
}
function call(arg0) {
    wasm.e1(arg0);
    wasm.e0(arg0);
}
const X = 1;
boot();"
        );
    }
}
