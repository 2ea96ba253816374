//! The isolated card vault.
//!
//! Reading order: [`app`] (what a running vault holds), [`public`] (frame, field sessions, tokenise), [`private`]
//! (exchange, stored cards, keys), [`forward`] (one send of a card to an acquirer), [`crypto`], [`records`] (all SQL),
//! [`card_rules`] (what an operator rules for a key's cards, [`funding`] among it), [`audit`], [`rotation`] and [`inventory`] of keys, [`replicas`] (several processes on one database), `transfer` (cards to and from another vault).
//! [`releases`] says what the public listener serves to browsers, signed. [`http`] holds what the listeners share, [`listeners`] starts
//! them, [`operator`] is the admin one; [`admin`] is the operator's command line, [`key_commands`] its part about keys,
//! [`config`] its file, [`doctor`] its check before go-live.

pub mod admin;
pub mod app;
pub mod audit;
pub mod card_json;
pub mod card_rules;
pub mod config;
pub mod crypto;
pub mod doctor;
pub mod error;
pub mod forward;
pub mod funding;
pub mod harden;
pub mod http;
pub mod inventory;
pub mod key_commands;
pub mod listeners;
pub mod operator;
pub mod private;
pub mod public;
mod published;
pub mod records;
pub mod releases;
pub mod replicas;
mod retention;
pub mod rotation;
pub mod tenants;
mod transfer;

pub use app::App;
pub use error::Error;
