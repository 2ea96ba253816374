//! The card form in the iframe that the vault serves.
//!
//! The modules at this level are the rules: plain Rust without a browser, tested natively. [`view`] is what is seen: the
//! build writes it into the document, and [`browser`] (wasm only) takes it over there, with Leptos, and speaks to page
//! and vault. Read in this order: [`field`], [`asks`], [`form`], [`postal`], [`edit`], [`plaintext`], [`refusal`], [`words`], [`view`],
//! then `browser`.
//!
//! Invariant: a card number goes from the input to the vault, sealed, and nowhere else. No message to the page, no
//! state and no error holds a digit of it, unless the operator's rule for the key shows its pages the BIN.

pub mod asks;
#[cfg(target_arch = "wasm32")]
pub mod browser;
pub mod edit;
pub mod field;
pub mod form;
pub mod layout;
pub mod mode;
pub mod plaintext;
pub mod postal;
pub mod refusal;
#[cfg(not(target_arch = "wasm32"))]
pub mod tables;
pub mod view;
pub mod words;
