//! What the listeners share: the table of routes and the layers around them, limits, the JSON extractor, and who is
//! calling.

pub mod auth;
mod buckets;
pub mod doors;
pub mod json;
pub mod key_cache;
pub(crate) mod layers;
pub mod limits;
pub mod proof;
pub mod routes;

pub use auth::Caller;
pub use json::Json;
pub use key_cache::KeyCache;
pub use layers::wrap;
