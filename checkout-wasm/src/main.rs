//! Starts the frame in a browser. Built natively it writes the form's markup, which the build puts into the document.

#[cfg(target_arch = "wasm32")]
fn main() {
    checkout_wasm::browser::start();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::io::Result<()> {
    use std::io::Write as _;
    std::io::stdout().write_all(checkout_wasm::view::markup().as_bytes())
}
