//! Telling merchants' servers: [`endpoints`] (who listens), [`secrets`] and [`sign`], [`deliver`] (the worker),
//! [`retry`] (when again), [`records`] (how it went, and once more).

pub mod deliver;
pub mod endpoints;
pub mod records;
pub mod retry;
pub mod routes;
pub mod secrets;
pub mod sign;
