//! The card form in the iframe that the vault serves.
//!
//! The modules at this level are the rules: plain Rust without a browser, tested natively. [`browser`] (wasm only)
//! puts them on the screen with Leptos and onto the wire. Read in this order: [`form`], [`edit`], [`plaintext`],
//! [`refusal`], [`appearance`], [`words`], then `browser`.
//!
//! Invariant: a card number goes from the input to the vault, sealed, and nowhere else. No message to the page, no
//! state and no error holds a digit of it.

pub mod appearance;
#[cfg(target_arch = "wasm32")]
pub mod browser;
pub mod edit;
pub mod form;
pub mod mode;
pub mod plaintext;
pub mod refusal;
pub mod words;
