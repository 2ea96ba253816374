//! The frame of an OpenAPI 3.1 description, which a program builds from the one table of its routes: what is served is
//! described, and what is described is served.

use axum::response::IntoResponse as _;
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use http::{HeaderValue, Method, header};
use serde_json::{Map, Value, json};

/// Where every description stands.
pub const PATH: &str = "/openapi.json";

/// A description in the making.
#[derive(Debug)]
pub struct Description {
    title: String,
    paths: Map<String, Value>,
}

impl Description {
    /// One that describes itself only.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        let mut description = Self {
            title: title.into(),
            paths: Map::new(),
        };
        let own = json!({ "summary": "This description.", "operationId": operation_id(&Method::GET, PATH), "security": [],
            "responses": { "200": { "description": "OpenAPI 3.1", "content": { "application/json": {} } } } });
        description.add(&Method::GET, PATH, own);
        description
    }

    /// Adds an operation object, as OpenAPI 3.1 §4.8.10 has it.
    pub fn add(&mut self, method: &Method, path: &str, operation: Value) {
        let path = self.paths.entry(path).or_insert_with(|| json!({}));
        path[method.as_str().to_lowercase()] = operation;
    }

    /// The document, with its components object.
    #[must_use]
    pub fn with(self, components: Value) -> Value {
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": self.title,
                // All packages have the workspace's version.
                "version": env!("CARGO_PKG_VERSION"),
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "paths": self.paths,
            "components": components,
        })
    }
}

/// The name of an operation: method and path in letters, digits and single underscores.
#[must_use]
pub fn operation_id(method: &Method, path: &str) -> String {
    let id = format!("{}{path}", method.as_str().to_lowercase())
        .replace(|c: char| !c.is_ascii_alphanumeric(), "_")
        .replace("__", "_");
    id.trim_end_matches('_').to_owned()
}

/// The parameter objects of the `{names}` in a path.
#[must_use]
pub fn in_path(path: &str) -> Vec<Value> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect()
}

/// What serves a finished document.
pub fn serve<S: Clone + Send + Sync + 'static>(document: &Value) -> MethodRouter<S> {
    let document = Bytes::from(document.to_string());
    get(move || async move {
        let kind = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, kind)], document).into_response()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_named_by_method_and_path() {
        let id = operation_id(&Method::POST, "/v1/cards/{id}/use");
        assert_eq!(id, "post_v1_cards_id_use");
        assert_eq!(
            operation_id(&Method::DELETE, "/v1/cards/{id}"),
            "delete_v1_cards_id"
        );
    }

    #[test]
    fn a_description_describes_itself_and_what_is_added() {
        let mut description = Description::new("Test");
        let operation = json!({ "parameters": in_path("/v1/cards/{id}") });
        description.add(&Method::GET, "/v1/cards/{id}", operation);
        let document = description.with(json!({}));
        assert_eq!(
            document["paths"]["/openapi.json"]["get"]["operationId"],
            "get_openapi_json"
        );
        assert_eq!(
            document["paths"]["/v1/cards/{id}"]["get"]["parameters"][0]["name"],
            "id"
        );
    }
}
