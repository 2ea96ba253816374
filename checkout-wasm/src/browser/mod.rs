//! The frame in the browser: Leptos, the channel to the page, and the way to the vault.
//!
//! Order of reading: [`frame`] (what there is one of), [`card_form`] and [`field`] (what is seen), [`channel`] (what
//! the page may ask and hear), [`vault`] (session, sealing, token), [`object`] (JavaScript values).

pub mod card_form;
pub mod channel;
pub mod field;
pub mod frame;
pub mod inputs;
pub mod object;
pub mod vault;

pub use frame::start;
