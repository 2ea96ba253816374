//! What others may know of the vault: ids, request and answer types, error codes.
//!
//! The vault, payments and the demo shop share these types; none of them can hold a card number.
//! Read in this order: [`ids`], [`keys`], [`origins`], [`tokens`], [`forward`], [`problem`].

pub mod forward;
pub mod ids;
pub mod keys;
pub mod origins;
pub mod problem;
pub mod tokens;

pub use ids::{Grant, Token, TokenName};
pub use problem::{Challenge, Code, Problem};
