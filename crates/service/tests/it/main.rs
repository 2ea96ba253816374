//! Listeners as a client meets them.

#![expect(clippy::unwrap_used, reason = "a step that fails fails its test")]

mod listener;
