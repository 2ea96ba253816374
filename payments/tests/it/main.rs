//! The service as a program, against real HTTP counterparts, on SQLite and (when `CARDSEAL_TEST_POSTGRES` names a
//! server) on PostgreSQL.

mod bank;
mod browser;
mod hooks;
mod issuer;
mod world;

mod bad_input;
mod balance;
mod billing;
mod checkout;
mod cli;
mod conversion;
mod customers;
mod deliveries;
mod disputes;
mod exemptions;
mod expiry;
mod failover;
mod foreign;
mod idempotency;
mod machine;
mod malformed;
mod matrix;
mod parameters;
mod pay;
mod queued;
mod queued_kills;
mod races;
mod refund_states;
mod refunds;
mod risk;
mod risk_velocity;
mod routing;
mod running;
mod search;
mod settlement;
mod setup_intents;
mod states;
mod three_ds;
mod unknown;
mod webhooks;
