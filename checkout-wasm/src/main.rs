//! Starts the frame in a browser. Built natively it writes the markup of every document, which the build puts into
//! them: for each a line with its layout's name, a tab and the markup. And, as `tables`, the tables of the rules.

#[cfg(target_arch = "wasm32")]
fn main() {
    checkout_wasm::browser::start();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::io::Result<()> {
    use checkout_wasm::{layout::Layout, tables, view};
    use std::io::Write as _;

    let mut out = std::io::stdout().lock();
    writeln!(out, "tables\t{}", tables::json())?;
    Layout::ALL
        .into_iter()
        .try_for_each(|layout| writeln!(out, "{}\t{}", layout.name(), view::markup(layout)))
}
