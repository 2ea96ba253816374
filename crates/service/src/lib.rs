//! What every program does the same way: tell the time, listen, stop, log, call other programs, answer health.
//!
//! No domain types. Read in this order: [`clock`], [`listen`], [`tls`], [`headers`], [`health`], [`client`], [`egress`], [`files`], [`traces`], [`log`],
//! [`openapi`].

pub mod caller;
pub mod client;
pub mod clock;
pub mod egress;
pub mod files;
pub mod headers;
pub mod health;
pub mod listen;
pub mod log;
pub mod openapi;
pub mod tls;
pub mod traces;

pub use client::Client;
pub use clock::Clock;
