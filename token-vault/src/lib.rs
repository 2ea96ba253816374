//! The isolated card vault.
//!
//! Reading order: [`app`] (what a running vault holds), [`public`] (frame, field sessions, tokenise), [`private`]
//! (exchange, stored cards, keys), [`forward`] (one send of a card to an acquirer), [`crypto`], [`records`] (all SQL),
//! [`audit`]. [`http`] holds what the listeners share; [`admin`] is the operator's command line.

pub mod admin;
pub mod app;
pub mod audit;
pub mod card_json;
pub mod crypto;
pub mod error;
pub mod forward;
pub mod http;
pub mod private;
pub mod public;
pub mod records;
pub mod replicas;
pub mod tenants;

pub use app::App;
pub use error::Error;
