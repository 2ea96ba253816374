//! The one table of a listener's routes. The router is built from it, and so is the OpenAPI 3.1 description at
//! `/openapi.json`: what is served is described, and what is described is served.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};
use service::openapi::{self, Description};
use vault_api::{Code, Problem};

use super::doors::Listener;
use super::wrap;
use crate::App;

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One method on one path.
pub struct Route {
    method: Method,
    path: &'static str,
    summary: &'static str,
    auth: Auth,
    idempotency_key: bool,
    query: Option<SchemaOf>,
    body: Option<SchemaOf>,
    answer: Content,
    codes: &'static [Code],
    handler: MethodRouter<App>,
}

/// What a caller must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Auth {
    Nothing,
    Session,
    Key(&'static str),
}

enum Content {
    Json(SchemaOf),
    Other(&'static str),
}

impl Route {
    /// GET.
    pub fn get<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(Method::GET, path, on(MethodFilter::GET, handler))
    }

    /// POST.
    pub fn post<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(Method::POST, path, on(MethodFilter::POST, handler))
    }

    /// PATCH.
    pub fn patch<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(Method::PATCH, path, on(MethodFilter::PATCH, handler))
    }

    /// DELETE.
    pub fn delete<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(Method::DELETE, path, on(MethodFilter::DELETE, handler))
    }

    fn new(method: Method, path: &'static str, handler: MethodRouter<App>) -> Self {
        Self {
            method,
            path,
            summary: "",
            auth: Auth::Nothing,
            idempotency_key: false,
            query: None,
            body: None,
            answer: Content::Other("text/plain"),
            codes: &[],
            handler,
        }
    }

    /// What it does, in a sentence.
    #[must_use]
    pub fn does(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// It needs an API key; who may, in words.
    #[must_use]
    pub fn key(mut self, who: &'static str) -> Self {
        self.auth = Auth::Key(who);
        self
    }

    /// It needs a field session.
    #[must_use]
    pub fn session(mut self) -> Self {
        self.auth = Auth::Session;
        self
    }

    /// It needs an `Idempotency-Key`.
    #[must_use]
    pub fn idempotency_key(mut self) -> Self {
        self.idempotency_key = true;
        self
    }

    /// Its query parameters.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(SchemaGenerator::root_schema_for::<T>);
        self
    }

    /// Its body.
    #[must_use]
    pub fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// What it answers.
    #[must_use]
    pub fn answers<T: JsonSchema>(mut self) -> Self {
        self.answer = Content::Json(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// It answers something that is not JSON of a type of ours.
    #[must_use]
    pub fn serves(mut self, content_type: &'static str) -> Self {
        self.answer = Content::Other(content_type);
        self
    }

    /// The codes of its own; those that any call of its sort can get are added.
    #[must_use]
    pub fn codes(mut self, codes: &'static [Code]) -> Self {
        self.codes = codes;
        self
    }

    fn all_codes(&self) -> Vec<Code> {
        let mut codes = vec![
            Code::CardNumberInWrongPlace,
            Code::Internal,
            Code::Unavailable,
        ];
        codes.extend(self.codes);
        if self.body.is_some() {
            codes.extend([
                Code::MalformedJson,
                Code::InvalidRequest,
                Code::RequestTimeout,
                Code::PayloadTooLarge,
                Code::UnsupportedMediaType,
            ]);
        }
        if self.query.is_some() {
            codes.push(Code::InvalidRequest);
        }
        if self.idempotency_key {
            codes.extend([Code::IdempotencyKeyMissing, Code::IdempotencyMismatch]);
        }
        match self.auth {
            Auth::Nothing => {}
            Auth::Session => codes.push(Code::SessionInvalid),
            Auth::Key(_) => codes.extend([Code::Unauthenticated, Code::Forbidden]),
        }
        Code::ALL
            .iter()
            .copied()
            .filter(|code| codes.contains(code))
            .collect()
    }
}

/// Builds a listener's router, its description included.
pub fn router(listener: Listener, app: App, routes: Vec<Route>) -> Router {
    let mut router =
        Router::new().route(openapi::PATH, openapi::serve(&describe(listener, &routes)));
    for route in routes {
        router = router.route(route.path, route.handler);
    }
    wrap(listener, &app, router.with_state(app.clone()))
}

/// The OpenAPI 3.1 description of a listener's routes.
#[must_use]
pub fn describe(listener: Listener, routes: &[Route]) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut schemas = settings.into_generator();
    let problem = schemas.subschema_for::<Problem>();
    let title = format!("Cardseal token vault, {} listener", listener.as_str());
    let mut description = Description::new(title);
    for route in routes {
        let operation = operation(route, &mut schemas, &problem);
        description.add(&route.method, route.path, operation);
    }
    description.with(json!({
        "schemas": schemas.take_definitions(true),
        "securitySchemes": {
            "key": {"type": "http", "scheme": "bearer", "description": "An API key: sk_, rk_ or svc_."},
            "session": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A field session."},
        },
    }))
}

fn operation(route: &Route, schemas: &mut SchemaGenerator, problem: &Schema) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "operationId": openapi::operation_id(&route.method, route.path),
        "parameters": parameters(route, schemas),
        "responses": responses(route, schemas, problem),
        "security": match route.auth {
            Auth::Nothing => json!([]),
            Auth::Session => json!([{"session": []}]),
            Auth::Key(_) => json!([{"key": []}]),
        },
    });
    if let Auth::Key(who) = route.auth {
        operation["description"] = format!("Keys that may: {who}.").into();
    }
    if let Some(body) = route.body {
        operation["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": body(schemas)}}});
    }
    operation
}

fn parameters(route: &Route, schemas: &mut SchemaGenerator) -> Vec<Value> {
    let mut parameters = openapi::in_path(route.path);
    if route.idempotency_key {
        parameters.push(
            json!({"name": "Idempotency-Key", "in": "header", "required": true,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255}}),
        );
    }
    if matches!(route.auth, Auth::Key(who) if who.contains("svc_")) {
        parameters.push(json!({"name": "Cardseal-Merchant", "in": "header", "required": false,
            "description": "The merchant that a service key acts for.", "schema": {"type": "string"}}));
    }
    if let Some(query) = route.query {
        let schema = query(schemas).to_value();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let required = required.iter().any(|n| n == name);
            parameters
                .push(json!({"name": name, "in": "query", "required": required, "schema": schema}));
        }
    }
    parameters
}

fn responses(route: &Route, schemas: &mut SchemaGenerator, problem: &Schema) -> Value {
    let content = match route.answer {
        Content::Json(schema) => json!({"application/json": {"schema": schema(schemas)}}),
        Content::Other(kind) => json!({ kind: {} }),
    };
    let mut responses = json!({"200": {"description": "Done.", "content": content}});
    for code in route.all_codes() {
        let told = format!("`{}`: {}", code.as_str(), code.title());
        let status = code.status().to_string();
        let said = match responses[&status]["description"].as_str() {
            Some(said) => format!("{said}\n{told}"),
            None => told,
        };
        responses[&status] = json!({"description": said, "content": {"application/problem+json": {"schema": problem}}});
    }
    responses
}
