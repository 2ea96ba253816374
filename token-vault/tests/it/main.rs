//! The vault through its doors: every test runs against real listeners, on SQLite and (when there is one) PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a step that fails fails its test")]

mod access;
mod audit;
mod bad_input;
mod exchange;
mod forwarding;
mod frame;
mod replicas;
mod retention;
mod vault;
