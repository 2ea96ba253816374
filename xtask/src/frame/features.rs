//! What each feature of the frame costs: the difference that it makes to the brotli size of wasm and document.
//!
//! A function of the wasm belongs to the feature that names its module or crate in [`FEATURES`], data to none; inlined
//! code counts where it was put. The document's scripts are taken file by file. Costs do not add up to the whole: what
//! features have in common costs nothing as long as one of them is there.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Result, ensure};

use super::manifest::brotli;

/// What wasm-bindgen makes: among it functions without a name, and shims whose names say what they take.
const BRIDGE: &str = "calls between JavaScript and wasm";
const SHIM: &str = "externref shim";

/// Features and the modules and crates that they are made of, by the beginning of a path; the longest one decides.
const FEATURES: [(&str, &[&str]); 17] = [
    (
        "brands, ranges, check digits, expiry",
        &["card", "pan", "vault_api"],
    ),
    (
        "a merchant's own brands",
        &["card::own", "checkout_wasm::browser::options::own_brands"],
    ),
    (
        "what is wrong, and when it is said",
        &[
            "checkout_wasm::form",
            "checkout_wasm::field",
            "checkout_wasm::refusal",
            "checkout_wasm::mode",
        ],
    ),
    ("groups and caret while typing", &["checkout_wasm::edit"]),
    ("postal codes by country", &["checkout_wasm::postal"]),
    ("words, English", &["checkout_wasm::words"]),
    ("the card's JSON", &["checkout_wasm::plaintext"]),
    (
        "options, optional fields, languages, networks",
        &[
            "checkout_wasm::asks",
            "checkout_wasm::browser::options",
            "checkout_wasm::browser::frame::look",
        ],
    ),
    (
        "inputs and what the buyer types",
        &[
            "checkout_wasm::browser::inputs",
            "checkout_wasm::browser::events",
        ],
    ),
    (
        "messages to and from the page",
        &[
            "checkout_wasm::browser::channel",
            "checkout_wasm::browser::object",
        ],
    ),
    (
        "session, seal and token",
        &["checkout_wasm::browser::vault"],
    ),
    (
        "the form that holds them together",
        &[
            "checkout_wasm::browser::frame",
            "checkout_wasm::browser::start",
            "checkout_wasm::layout",
            "checkout_wasm::main",
            "main",
        ],
    ),
    (
        "markup taken over, by Leptos",
        &["checkout_wasm::view", "leptos", "tachys"],
    ),
    (
        "signals and effects, by Leptos",
        &[
            "any_spawner",
            "futures_util",
            "futures_core",
            "futures_channel",
            "async_lock",
            "or_poisoned",
            "reactive_graph",
            "reactive_stores",
            "send_wrapper",
            "slotmap",
            "throw_error",
            "hydration_context",
        ],
    ),
    (
        BRIDGE,
        &[
            "wasm_bindgen",
            "wasm_bindgen_futures",
            "js_sys",
            "web_sys",
            "__wbindgen",
            "__externref",
            "__wbg",
        ],
    ),
    (
        "memory",
        &["lol_alloc", "__rust", "__rustc", "zeroize", "dlmalloc"],
    ),
    (
        "Rust's own library",
        &[
            "alloc",
            "core",
            "std",
            "compiler_builtins",
            "hashbrown",
            "indexmap",
            "foldhash",
            "rustc_hash",
            "once_cell",
            "spin",
            "lock_api",
            "memcpy",
            "memmove",
            "memset",
            "memcmp",
            // Slices' and texts' own methods: `<[u8]>::starts_with`.
            "[",
            "str",
        ],
    ),
];

/// The module with its names, among what was built.
pub const NAMED: &str = "names.wasm";

/// Which feature a function belongs to.
fn feature_of(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.ends_with(SHIM) {
        return Some(BRIDGE);
    }
    // `<a::B as c::D>::e`: the first path that is known.
    let mut starts = (0..name.len()).filter(|at| name.is_char_boundary(*at) && is_start(name, *at));
    starts.find_map(|at| {
        let known = FEATURES.iter().flat_map(|(feature, paths)| {
            let fits = |path: &&&str| is_path(&name[at..], path);
            paths.iter().filter(fits).map(|path| (path.len(), *feature))
        });
        known.max().map(|(_, feature)| feature)
    })
}

fn is_start(name: &str, at: usize) -> bool {
    let before = name[..at].chars().next_back();
    before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | ':'))
}

fn is_path(name: &str, path: &str) -> bool {
    // The runtime's own symbols, and slices, go on as they like.
    let is_open = path.starts_with("__") || path == "[";
    name.strip_prefix(path)
        .is_some_and(|rest| is_open || !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// The bytes of each feature's functions, in the wasm as it is served.
pub struct Functions<'a> {
    wasm: &'a [u8],
    bodies: BTreeMap<&'static str, Vec<Range<usize>>>,
    data: Vec<Range<usize>>,
}

impl<'a> Functions<'a> {
    /// Groups the functions of a module that has names.
    ///
    /// # Errors
    /// It is no module; or a function is of no module that [`FEATURES`] names.
    pub fn of(wasm: &'a [u8]) -> Result<Self> {
        let sections = sections(wasm)?;
        let mut names = BTreeMap::new();
        let mut imported = 0;
        let (mut code, mut data) = (vec![], vec![]);
        for (id, range) in &sections {
            let mut read = Reader::new(wasm, range.clone());
            match *id {
                IMPORTS => imported = imported_functions(&mut read)?,
                CODE => {
                    for _ in 0..read.number()? {
                        let size = read.number()?;
                        code.push(read.take(size)?);
                    }
                }
                DATA => data.push(range.clone()),
                CUSTOM => {
                    let length = read.number()?;
                    if &wasm[read.take(length)?] == NAMES {
                        names = function_names(&mut read)?;
                    }
                }
                _ => {}
            }
        }
        let mut bodies: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut strange = vec![];
        for (at, body) in code.into_iter().enumerate() {
            let name = names.get(&(imported + at)).copied().unwrap_or_default();
            match feature_of(name) {
                Some(feature) => bodies.entry(feature).or_default().push(body),
                None => strange.push(format!("{name} ({} bytes)", body.len())),
            }
        }
        ensure!(
            strange.is_empty(),
            "no feature of xtask/src/frame/features.rs names these functions' crates or modules: {}",
            strange.join(", ")
        );
        Ok(Self { wasm, bodies, data })
    }

    /// Each feature and what it costs, the dearest first; at last the data.
    ///
    /// # Errors
    /// Brotli failed.
    pub fn costs(&self) -> Result<Vec<(&'static str, usize)>> {
        let whole = brotli(&strip_names(self.wasm)?)?.len();
        let cost = |ranges: &[Range<usize>]| {
            let without = without(self.wasm, ranges);
            anyhow::Ok(whole.saturating_sub(brotli(&without)?.len()))
        };
        let mut costs = vec![];
        for (feature, bodies) in &self.bodies {
            costs.push((*feature, cost(bodies)?));
        }
        costs.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        costs.push(("tables, texts and other data", cost(&self.data)?));
        Ok(costs)
    }
}

const CUSTOM: u8 = 0;
const IMPORTS: u8 = 2;
const CODE: u8 = 10;
const DATA: u8 = 11;
const NAMES: &[u8] = b"name";
const HEADER: usize = 8;

/// The module without its names: what is served.
///
/// # Errors
/// It is no module.
pub fn strip_names(wasm: &[u8]) -> Result<Vec<u8>> {
    sections(wasm)?;
    Ok(without(wasm, &[]))
}

/// The module without its custom sections and these ranges: no module any more, but as many bytes as one.
fn without(wasm: &[u8], ranges: &[Range<usize>]) -> Vec<u8> {
    let mut gone = ranges.to_vec();
    let mut at = HEADER;
    while let Ok(Some((id, range))) = section(wasm, at) {
        let end = range.end;
        if id == CUSTOM {
            gone.push(at..end);
        }
        at = end;
    }
    gone.sort_by_key(|range| range.start);
    let mut left = Vec::with_capacity(wasm.len());
    let mut from = 0;
    for range in gone {
        left.extend_from_slice(&wasm[from..range.start]);
        from = range.end;
    }
    left.extend_from_slice(&wasm[from..]);
    left
}

/// Kind and content of each section.
fn sections(wasm: &[u8]) -> Result<Vec<(u8, Range<usize>)>> {
    ensure!(wasm.starts_with(b"\0asm"), "not a WebAssembly module");
    let mut found = vec![];
    let mut at = HEADER;
    while let Some((id, range)) = section(wasm, at)? {
        at = range.end;
        found.push((id, range));
    }
    Ok(found)
}

/// The section that begins here; none at the end.
fn section(wasm: &[u8], at: usize) -> Result<Option<(u8, Range<usize>)>> {
    let Some(id) = wasm.get(at) else {
        return Ok(None);
    };
    let mut read = Reader::new(wasm, at + 1..wasm.len());
    let size = read.number()?;
    Ok(Some((*id, read.take(size)?)))
}

/// How many functions are imported, which come first among all. The frame imports nothing else.
fn imported_functions(read: &mut Reader<'_>) -> Result<usize> {
    let count = read.number()?;
    for _ in 0..count {
        for _ in 0..2 {
            let length = read.number()?;
            read.take(length)?;
        }
        let kind = read.take(1)?;
        ensure!(read.bytes[kind] == [0], "an import that is no function");
        read.number()?;
    }
    Ok(count)
}

/// The names of functions by their index: the subsection 1 of the names.
fn function_names<'a>(read: &mut Reader<'a>) -> Result<BTreeMap<usize, &'a str>> {
    let mut names = BTreeMap::new();
    while read.at < read.end {
        let kind = read.take(1)?;
        let size = read.number()?;
        let content = read.take(size)?;
        if read.bytes[kind] != [1] {
            continue;
        }
        let mut inner = Reader::new(read.bytes, content);
        for _ in 0..inner.number()? {
            let function = inner.number()?;
            let length = inner.number()?;
            let name = std::str::from_utf8(&read.bytes[inner.take(length)?])?;
            names.insert(function, name);
        }
    }
    Ok(names)
}

/// Reads what sections are made of.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], range: Range<usize>) -> Self {
        let (at, end) = (range.start, range.end.min(bytes.len()));
        Self { bytes, at, end }
    }

    fn take(&mut self, length: usize) -> Result<Range<usize>> {
        let range = self.at..self.at.saturating_add(length);
        ensure!(range.end <= self.end, "a section ends too early");
        self.at = range.end;
        Ok(range)
    }

    /// LEB128, unsigned.
    fn number(&mut self) -> Result<usize> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?.start;
            let byte = self.bytes[byte];
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        anyhow::bail!("a number of too many bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_belongs_to_the_module_that_it_names_first() {
        for (name, feature) in [
            (
                "checkout_wasm::edit::number::h1",
                "groups and caret while typing",
            ),
            ("card::number::state_of::h1", FEATURES[0].0),
            ("card::own::OwnBrand::h1", "a merchant's own brands"),
            (
                "<tachys::html::X<E> as core::fmt::Y>::z::h1",
                "markup taken over, by Leptos",
            ),
            ("<&card::Brand as core::fmt::Y>::z::h1", FEATURES[0].0),
            (
                "core[c5930c85a12de822]::str::from_utf8",
                "Rust's own library",
            ),
            ("__wbindgen_malloc", BRIDGE),
            ("<[u8]>::starts_with", "Rust's own library"),
            ("", BRIDGE),
            ("F64 -> Externref externref shim", BRIDGE),
            ("main", "the form that holds them together"),
        ] {
            assert_eq!(feature_of(name), Some(feature), "{name}");
        }
        for name in ["cardinal::x", "serde_json::de::x", "checkout_wasm::news::x"] {
            assert_eq!(feature_of(name), None, "{name}");
        }
    }

    #[test]
    fn every_module_of_the_frame_has_a_feature() {
        let root = crate::workspace::root().expect("a workspace");
        let lib = std::fs::read_to_string(root.join("checkout-wasm/src/lib.rs")).expect("read");
        let browser = root.join("checkout-wasm/src/browser/mod.rs");
        let browser = std::fs::read_to_string(browser).expect("read");
        for (text, within) in [(lib, ""), (browser, "browser::")] {
            let modules = text.lines().filter_map(|line| {
                let name = line.trim_start_matches("pub ").strip_prefix("mod ")?;
                name.strip_suffix(';')
            });
            // `tables` is not in the wasm; `browser` has modules of its own.
            for module in modules.filter(|name| !["tables", "browser"].contains(name)) {
                let name = format!("checkout_wasm::{within}{module}::go");
                assert!(feature_of(&name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn functions_are_found_by_name_and_left_out() {
        // One type, one import, two functions of four and three bytes, and their names.
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        wasm.extend(b"\x01\x04\x01\x60\0\0\x02\x07\x01\x01a\x01b\0\0\x03\x03\x02\0\0");
        wasm.extend(b"\x0a\x0a\x02\x04\0\x01\x01\x0b\x03\0\x01\x0b");
        let names = b"\x02\x01\x07card::x\x02\x07core::y";
        let mut section = b"\x04name\x01".to_vec();
        section.push(names.len() as u8);
        section.extend(names);
        let served = wasm.len();
        wasm.extend([0, section.len() as u8]);
        wasm.extend(&section);
        let functions = Functions::of(&wasm).expect("a module");
        let bodies = |feature| functions.bodies.get(feature).map(|all| all[0].len());
        assert_eq!(bodies(FEATURES[0].0), Some(4));
        assert_eq!(bodies("Rust's own library"), Some(3));
        assert_eq!(strip_names(&wasm).expect("a module"), &wasm[..served]);
        let left = without(&wasm, &functions.bodies[FEATURES[0].0]);
        assert_eq!(left.len(), served - 4);
        let strange = String::from_utf8_lossy(&wasm).replace("card::x", "gone::x");
        assert!(Functions::of(strange.as_bytes()).is_err());
        assert!(Functions::of(&wasm[..served - 1]).is_err());
    }
}
