//! Facts and rules about payment cards: Luhn, brands, grouping, expiry, CVV length, masking, test ranges.
//!
//! Nothing here holds a card: every function borrows digits and gives back a fact about them. There is no I/O and
//! no clock; today's month is an argument. The same code runs in the browser (wasm) and in the services, so that
//! the frame and the vault can never disagree about what a valid card is.
//!
//! Read in this order: [`luhn`], [`brand`], [`own`], [`number`], [`expiry`], [`cvc`], [`filter`], [`test_cards`]; [`currency`]
//! and [`calendar`] serve the programs around.

pub mod brand;
pub mod calendar;
pub mod currency;
pub mod cvc;
pub mod expiry;
pub mod filter;
pub mod luhn;
pub mod number;
pub mod own;
pub mod test_cards;

pub use brand::Brand;
pub use expiry::{Expiry, Month};
