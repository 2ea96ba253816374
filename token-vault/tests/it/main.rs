//! The vault through its doors: every test runs against real listeners, on SQLite and (when there is one) PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a step that fails fails its test")]

mod access;
mod audit;
mod bad_input;
mod card_rules;
mod cards;
mod codes;
mod described;
mod doctor;
mod endpoint;
mod exchange;
mod forward_attack;
mod forward_bodies;
mod forward_crash;
mod forward_process;
mod forward_registered;
mod forward_wire;
mod forwarding;
mod frame;
mod key_commands;
mod limits;
mod matrix;
mod process;
mod proof;
mod published;
mod releases;
mod replicas;
mod retention;
mod roots;
mod rotation;
mod served;
mod states;
mod tampering;
mod tampering_keys;
mod tampering_rights;
mod transfer;
mod vault;
