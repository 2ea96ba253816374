//! The `wasm-bindgen` command that Trunk and `cargo xtask frame` call, on the library behind the official one.
//!
//! The official CLI brings a test runner and an HTTP server (150 crates); the frame needs its one function (43). It
//! takes the arguments that Trunk passes: `--target=web --out-dir=DIR --out-name=NAME [--no-typescript] FILE.wasm`,
//! and `--version`, by which Trunk checks that it equals the library the frame was compiled against.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(answer) => {
            print(&answer);
            ExitCode::SUCCESS
        }
        Err(message) => {
            #[expect(clippy::print_stderr, reason = "a command speaks on stderr")]
            {
                eprintln!("wasm-bindgen: {message}");
            }
            ExitCode::FAILURE
        }
    }
}

fn print(answer: &str) {
    #[expect(clippy::print_stdout, reason = "Trunk reads the version from stdout")]
    if !answer.is_empty() {
        println!("{answer}");
    }
}

fn run(args: impl Iterator<Item = String>) -> Result<String, String> {
    let mut bindgen = Bindgen::new();
    // The library leaves the default path out, the official CLI keeps it; Trunk's builds expect the CLI's output.
    bindgen.omit_default_module_path(false);
    let mut out_dir = None;
    for arg in args {
        let (name, value) = arg.split_once('=').unwrap_or((&arg, ""));
        match name {
            "--version" => return Ok(concat!("wasm-bindgen ", env!("CARGO_PKG_VERSION")).into()),
            "--target" => target(&mut bindgen, value)?,
            "--out-dir" => out_dir = Some(value.to_owned()),
            "--out-name" => {
                bindgen.out_name(value);
            }
            "--no-typescript" => {
                bindgen.typescript(false);
            }
            _ if name.starts_with("--") => return Err(["unknown argument ", name].concat()),
            _ => {
                bindgen.input_path(&arg);
            }
        }
    }
    let out_dir = out_dir.ok_or("--out-dir=DIR is missing")?;
    bindgen
        .generate(out_dir)
        .map(|()| String::new())
        .map_err(|error| format!("{error:#}"))
}

fn target(bindgen: &mut Bindgen, name: &str) -> Result<(), String> {
    match name {
        "web" => bindgen.web(true).map(|_| ()).map_err(|e| e.to_string()),
        _ => Err(["only --target=web is built here, not ", name].concat()),
    }
}
