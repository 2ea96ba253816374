//! `wasm-trim IN OUT`: drops from a module what the frame can never use and no tool proves dead.
//!
//! - Leptos brings `wasm-streams`, whose exported classes are roots for every dead-code pass; the frame streams nothing.
//! - A panic formats a message that no hook will print (`panic = "abort"`, no console). The functions that build it
//!   become a trap, which is what a panic ends in anyway.
//! - So nothing formats: vtables in the data keep the formatters of numbers, strings and errors alive, which become traps
//!   as well. Whether nothing does is checked, and a module that formats after all is refused.
//! - Paths of sources, which only those messages would name: without them the same sources give the same bytes on
//!   every machine, and none of its directories travel to buyers.
//! - The producers section. The names go last (`xtask/src/frame/features.rs` reads them).
//!
//! What is left of imports and closure exports gets short names: the hashes in them do not compress. Standard output
//! tells them, a line `import|export OLD NEW` each, so that the glue can follow.
//!
//! The functions are named exactly: a pattern such as `std::panicking::*` would take
//! `__rust_begin_short_backtrace`, and with it `main`.

use std::process::ExitCode;

use walrus::{FunctionBuilder, FunctionId, FunctionKind, Module, ModuleConfig, ValType};

/// Part of the names that `wasm-streams` exports: `intounderlyingsource_pull`, `__wbg_intounderlyingsink_free`.
const DEAD_EXPORTS: &str = "intounderlying";

/// The bodies behind them. Their vtables lie in the data, which keeps them in the table when the exports are gone.
const DEAD_FUTURES: &str = "js_sys::futures::future_to_promise::";

/// Diverging functions whose only work is a message.
const PANICS: [&str; 17] = [
    "core::cell::panic_already_borrowed",
    "core::cell::panic_already_mutably_borrowed",
    "core::option::expect_failed",
    "core::option::unwrap_failed",
    "core::panicking::assert_failed_inner",
    "core::panicking::panic",
    "core::panicking::panic_bounds_check",
    "core::panicking::panic_display",
    "core::panicking::panic_fmt",
    "core::panicking::panic_nounwind",
    "core::result::unwrap_failed",
    "core::slice::copy_from_slice_impl::len_mismatch_fail",
    "core::slice::index::slice_index_fail",
    "core::str::slice_error_fail",
    "std::panicking::panic_with_hook",
    "std::thread::local::panic_access_error",
    "alloc::raw_vec::handle_error",
];

/// What implements formatting: `<str as core::fmt::Debug>::fmt` and `<core::fmt::Formatter>::pad`, by part of the name.
const FORMATTERS: [&str; 3] = [
    " as core::fmt::",
    "<core::fmt::Formatter>::",
    "core::fmt::Write::",
];

/// What all formatting goes through.
const FORMATS: &str = "core::fmt::write";

/// How wasm-bindgen names the exports that call closures.
const CLOSURES: &str = "wasm_bindgen__convert__closures";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.as_slice() {
        [input, output] => trim(input, output),
        _ => Err("usage: wasm-trim IN OUT".to_owned()),
    };
    match result {
        Ok(names) => {
            #[expect(clippy::print_stdout, reason = "the names are this command's answer")]
            {
                print!("{names}");
            }
            ExitCode::SUCCESS
        }
        Err(message) => {
            #[expect(clippy::print_stderr, reason = "a command speaks on stderr")]
            {
                eprintln!("wasm-trim: {message}");
            }
            ExitCode::FAILURE
        }
    }
}

fn trim(input: &str, output: &str) -> Result<String, String> {
    let mut config = ModuleConfig::new();
    config
        .generate_name_section(true)
        .generate_producers_section(false);
    let mut module = Module::from_file_with_config(input, &config).map_err(|e| e.to_string())?;
    drop_dead_exports(&mut module);
    trap_dead(&mut module);
    let data: Vec<_> = module.data.iter().map(|data| data.id()).collect();
    for id in data {
        for prefix in source_prefixes() {
            blank_paths(&mut module.data.get_mut(id).value, prefix.as_bytes());
        }
    }
    walrus::passes::gc::run(&mut module);
    if module
        .funcs
        .iter()
        .any(|function| formats(function.name.as_deref()))
    {
        return Err("something formats at run time, for which the frame has no bytes: put strings together instead".into());
    }
    let names = shorten_names(&mut module);
    module
        .emit_wasm_file(output)
        .map_err(|e| e.to_string())
        .map(|()| names)
}

fn drop_dead_exports(module: &mut Module) {
    let dead: Vec<_> = module
        .exports
        .iter()
        .filter(|export| export.name.contains(DEAD_EXPORTS))
        .map(|export| export.id())
        .collect();
    for id in dead {
        module.exports.delete(id);
    }
}

fn shorten_names(module: &mut Module) -> String {
    let mut told = String::new();
    let mut shorten = |kind: &str, name: &mut String, at: usize| {
        let short = format!("{}{at}", &kind[..1]);
        told += &format!("{kind} {name} {short}\n");
        *name = short;
    };
    for (at, import) in module.imports.iter_mut().enumerate() {
        shorten("import", &mut import.name, at);
    }
    for (at, export) in module.exports.iter_mut().enumerate() {
        if export.name.starts_with(CLOSURES) {
            shorten("export", &mut export.name, at);
        }
    }
    told
}

fn trap_dead(module: &mut Module) {
    let dead: Vec<FunctionId> = module
        .funcs
        .iter_local()
        .map(|(id, _)| id)
        .filter(|id| is_dead(module.funcs.get(*id).name.as_deref()))
        .collect();
    for id in dead {
        let kind = trap(module, id);
        module.funcs.get_mut(id).kind = kind;
    }
}

/// A function of the same type whose body is one trap.
fn trap(module: &mut Module, id: FunctionId) -> FunctionKind {
    let of = module.types.get(module.funcs.get(id).ty());
    let (params, results): (Vec<ValType>, Vec<ValType>) =
        (of.params().to_vec(), of.results().to_vec());
    let mut builder = FunctionBuilder::new(&mut module.types, &params, &results);
    builder.func_body().unreachable();
    let arguments = params
        .iter()
        .map(|param| module.locals.add(*param))
        .collect();
    FunctionKind::Local(builder.local_func(arguments))
}

/// Where the sources of the standard library and of the registry lie.
fn source_prefixes() -> [String; 3] {
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"))
        .unwrap_or_default();
    ["/rustc/".into(), "/rust/deps/".into(), home + "/registry/"]
}

/// Zeroes every path from `prefix` to its `.rs`, in place: the messages that point at it are gone.
fn blank_paths(data: &mut [u8], prefix: &[u8]) {
    let mut at = 0;
    while let Some(start) = find(&data[at..], prefix).map(|found| at + found) {
        let Some(length) = find(&data[start..], b".rs").map(|found| found + 3) else {
            return;
        };
        at = start + length;
        // A path is short and has no spaces; anything else only looks like one.
        let path = &mut data[start..at];
        if path.len() < 200 && path.iter().all(|b| b.is_ascii_graphic()) {
            path.fill(0);
        }
    }
}

fn find(data: &[u8], wanted: &[u8]) -> Option<usize> {
    data.windows(wanted.len()).position(|at| at == wanted)
}

fn is_dead(name: Option<&str>) -> bool {
    name.map(plain).is_some_and(|name| {
        PANICS.contains(&name.as_str())
            || name.starts_with(DEAD_FUTURES)
            || FORMATTERS.iter().any(|part| name.contains(part))
    })
}

fn formats(name: Option<&str>) -> bool {
    name.map(plain).as_deref() == Some(FORMATS)
}

/// A demangled name without crate hashes: `core[c5930c85a12de822]::panicking::panic` and
/// `core::panicking::panic::h0123456789abcdef` both become `core::panicking::panic`.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut in_hash = false;
    for c in name.chars() {
        match c {
            '[' => in_hash = true,
            ']' => in_hash = false,
            _ if !in_hash => plain.push(c),
            _ => {}
        }
    }
    match plain.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 => path.to_owned(),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_functions_are_known_by_either_mangling_and_nothing_else_is_one() {
        for name in [
            "core[c5930c85a12de822]::panicking::panic_fmt",
            "core::panicking::panic_fmt::hb1a615e2d1ad759b",
            "js_sys::futures::future_to_promise::{{closure}}::{{closure}}::he160174c6b625081",
            "<char as core[c5930c85a12de822]::fmt::Debug>::fmt",
            "<core::fmt::Formatter>::pad_integral::write_prefix::h0123456789abcdef",
        ] {
            assert!(is_dead(Some(name)), "{name}");
        }
        for name in [
            "std::sys::backtrace::__rust_begin_short_backtrace",
            "std[a543]::panicking::panic_count::is_zero_slow_path",
            "checkout_wasm::main",
            "js_sys::futures::queue::Queue::schedule_task::habb96936f292a241",
        ] {
            assert!(!is_dead(Some(name)), "{name}");
        }
        assert!(!is_dead(None));
        assert!(formats(Some("core[c5930c85a12de822]::fmt::write")));
        assert!(!is_dead(Some("core::fmt::write")) && !formats(Some("core::fmt::Write")));
    }

    #[test]
    fn paths_are_blanked_and_their_neighbours_left() {
        let mut data = *b"said/rustc/ab/core/src/str.rsinput/rustc/no end";
        blank_paths(&mut data, b"/rustc/");
        let blank = "\0".repeat("/rustc/ab/core/src/str.rs".len());
        assert_eq!(
            data.as_slice(),
            ["said", &blank, "input/rustc/no end"].concat().as_bytes()
        );
    }
}
