//! What the listeners share: the layers around every route, the JSON extractor, and who is calling.

pub mod auth;
pub mod json;
mod layers;

pub use auth::Caller;
pub use json::Json;
pub use layers::wrap;
