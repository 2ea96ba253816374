//! What the listeners share: the layers around every route, the JSON extractor, and who is calling.

pub mod auth;
pub mod json;
pub mod key_cache;
mod layers;

pub use auth::Caller;
pub use json::Json;
pub use key_cache::KeyCache;
pub use layers::wrap;
