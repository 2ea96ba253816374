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
    let (mut script, parts) = modules(&imports, stage, &names)?;
    let body = without_classes(&body.join("\n"));
    script += &names.rename_exports(&names.rename_imports(&body));
    script += constants;
    // What the path without WebAssembly shares.
    script += &format!("const PARTS = {{ {} }};\n", parts.join(", "));
    script += boot;
    Ok(script)
}

/// The modules that the glue imports as closures, and each function under its own name, for those who call it from
/// JavaScript. A module that is imported twice is one closure, as it is one module to a browser: it has one state.
///
/// `import { a, b } from './x.js'` gives `a` and `b`; `import * as x from "./x.js"`, which the wasm calls without the glue,
/// gives `x` with the names that the wasm has for its functions.
fn modules(imports: &[&str], stage: &Path, names: &Names<'_>) -> Result<(String, Vec<String>)> {
    let (mut script, mut parts) = (String::new(), vec![]);
    let mut modules: Vec<Module<'_>> = vec![];
    for import in imports {
        let import = Import::parse(import)?;
        let known = modules.iter().position(|module| module.path == import.path);
        let at = known.unwrap_or(modules.len());
        if known.is_none() {
            modules.push(Module::read(import.path, stage)?);
        }
        let module = &mut modules[at];
        let outer = match import.named {
            None => {
                for name in module.source.lines().filter_map(exported_function) {
                    if let Some(new) = names.imports.get(name) {
                        module.given.push(format!("{new}: {name}"));
                        parts.push(format!("{name}: {}.{new}", import.space));
                    }
                }
                import.space.to_owned()
            }
            Some(named) => {
                for imported in named.split(',') {
                    let (name, local) = imported.split_once(" as ").unwrap_or((imported, imported));
                    module.given.push(name.trim().to_owned());
                    parts.push(format!("{}: {}", name.trim(), local.trim()));
                }
                format!("{{{}}}", named.replace(" as ", ": "))
            }
        };
        module.takers += &format!("const {outer} = module{at};\n");
    }
    for (at, module) in modules.iter().enumerate() {
        script += &module.closure(at);
    }
    Ok((script, parts))
}

/// A line of the glue that imports.
struct Import<'a> {
    path: &'a str,
    /// What stands between the braces; none of `* as x`.
    named: Option<&'a str>,
    /// `x` of `* as x`.
    space: &'a str,
}

impl<'a> Import<'a> {
    fn parse(line: &'a str) -> Result<Self> {
        let parts: Vec<&str> = line.split(['{', '}', '\'', '"']).collect();
        let (named, path) = match parts.as_slice() {
            [_, named, _, path, ..] => (Some(*named), *path),
            [_, path, ..] => (None, *path),
            _ => anyhow::bail!("not an import: {line}"),
        };
        let space = line.split_whitespace().nth(3).unwrap_or_default();
        Ok(Self { path, named, space })
    }
}

/// A module: its source, what is asked of it, and the declarations of those who ask.
struct Module<'a> {
    path: &'a str,
    source: String,
    given: Vec<String>,
    takers: String,
}

impl<'a> Module<'a> {
    fn read(path: &'a str, stage: &Path) -> Result<Self> {
        let source = fs::read_to_string(stage.join(path));
        Ok(Self {
            path,
            source: source.with_context(|| format!("reading {path}"))?,
            given: vec![],
            takers: String::new(),
        })
    }

    fn closure(&self, at: usize) -> String {
        let lines = self.source.lines();
        let source: Vec<_> = lines
            .map(|line| line.strip_prefix("export ").unwrap_or(line))
            .collect();
        let (source, given, takers) = (source.join("\n"), self.given.join(", "), &self.takers);
        format!("const module{at} = (() => {{\n{source}\nreturn {{ {given} }};\n}})();\n{takers}")
    }
}

/// `name` of `export function name(..`.
fn exported_function(line: &str) -> Option<&str> {
    let declared = line.strip_prefix("export ")?;
    let declared = declared.strip_prefix("async ").unwrap_or(declared);
    declared.strip_prefix("function ")?.split('(').next()
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
const PARTS = {  };
boot();"
        );
    }

    #[test]
    fn a_module_becomes_one_closure_however_often_it_is_imported() {
        let stage = std::env::temp_dir().join(format!("cardseal-glue-{}", std::process::id()));
        fs::create_dir_all(&stage).expect("a folder");
        fs::write(
            stage.join("a.js"),
            "const X = 1;\nexport function go() { return X; }\n",
        )
        .expect("a file");
        let names = Names::parse("import go i7\n");
        let imports = [
            "import { go as run } from './a.js';",
            "import * as import1 from \"./a.js\"",
        ];
        let (script, parts) = modules(&imports, &stage, &names).expect("closures");
        assert_eq!(
            script,
            concat!(
                "const module0 = (() => {\nconst X = 1;\nfunction go() { return X; }\n",
                "return { go, i7: go };\n})();\n",
                "const { go: run } = module0;\nconst import1 = module0;\n"
            )
        );
        assert_eq!(parts, ["go: run", "go: import1.i7"]);
        fs::remove_dir_all(&stage).expect("gone");
    }
}
