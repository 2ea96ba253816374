//! Tests only: fresh databases on every store ([`database`]), HTTP as a client would speak it ([`http`]), and the
//! built programs as processes ([`programs`], [`process`], [`vault`], [`payments`]).

pub mod database;
pub mod http;
pub mod payments;
pub mod process;
pub mod programs;
pub mod vault;

pub use http::{Answer, Http, shows_a_card};
pub use programs::Demo;
