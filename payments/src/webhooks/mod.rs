//! Webhooks out: [`endpoints`] say who listens, [`deliver`] sends what [`crate::events`] put, [`sign`] signs it.

pub mod deliver;
pub mod endpoints;
pub mod sign;
