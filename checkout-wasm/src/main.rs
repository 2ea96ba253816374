//! Starts the frame in a browser. Built natively it does nothing: the rules are a library and are tested there.

fn main() {
    #[cfg(target_arch = "wasm32")]
    checkout_wasm::browser::start();
}
