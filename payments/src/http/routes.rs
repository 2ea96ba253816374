//! The one table of the API's routes. The router is built from it, and so is the OpenAPI 3.1 description at
//! `/openapi.json`: what is served is described, and what is described is served.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::middleware;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router};
use http::Method;
use serde_json::{Value, json};
use service::openapi::{self, Description};

use super::browser;
use super::takes::{self, Param};
use crate::app::App;

/// One method on one path.
pub struct Route {
    method: Method,
    path: &'static str,
    summary: &'static str,
    auth: Auth,
    takes: Vec<Param>,
    answers: &'static str,
    queued: bool,
    handler: MethodRouter<App>,
}

/// What a caller must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Auth {
    /// A secret key.
    Secret,
    /// A secret key, or a publishable one with the intent's client secret.
    Browser,
    /// Nothing, or what the route itself judges.
    Own,
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

    /// DELETE.
    pub fn delete<H, T>(path: &'static str, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(Method::DELETE, path, on(MethodFilter::DELETE, handler))
    }

    /// What a browser asks before it calls one of the browser's routes.
    pub fn preflight(path: &'static str) -> Self {
        let handler = on(MethodFilter::OPTIONS, browser::preflight);
        Self::new(Method::OPTIONS, path, handler)
            .browser()
            .open()
            .does("What a page may send.")
            .answers("")
    }

    fn new(method: Method, path: &'static str, handler: MethodRouter<App>) -> Self {
        Self {
            method,
            path,
            summary: "",
            auth: Auth::Secret,
            takes: Vec::new(),
            answers: "",
            queued: false,
            handler,
        }
    }

    /// What it does, in a sentence.
    #[must_use]
    pub fn does(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Its parameters, in the words of [`super::takes`]; said again, more of them.
    #[must_use]
    pub fn takes(mut self, words: &'static str) -> Self {
        self.takes.extend(takes::read(words));
        self
    }

    /// The object that it answers, as its field `object` names it, or a content type.
    #[must_use]
    pub fn answers(mut self, object: &'static str) -> Self {
        self.answers = object;
        self
    }

    /// It may be answered before it is done: `Prefer: respond-async`.
    #[must_use]
    pub fn queued(mut self) -> Self {
        self.queued = true;
        self
    }

    /// A page may call it too.
    #[must_use]
    pub fn browser(mut self) -> Self {
        self.auth = Auth::Browser;
        self.handler = self.handler.layer(middleware::from_fn(browser::cors));
        self
    }

    /// It needs no key.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.auth = Auth::Own;
        self.handler = self.handler.layer(DefaultBodyLimit::max(64 * 1024));
        self
    }
}

/// The router of a table, its description included.
pub fn router(table: Vec<Route>) -> Router<App> {
    let router = Router::new().route(openapi::PATH, openapi::serve(&describe(&table)));
    table.into_iter().fold(router, |router, route| {
        let takes = Takes {
            params: route.takes.into(),
            answers: route.answers,
        };
        router.route(route.path, route.handler.layer(Extension(takes)))
    })
}

/// What the route of a request takes and answers; among the request's extensions.
#[derive(Debug, Clone)]
pub struct Takes {
    pub params: Arc<[Param]>,
    pub answers: &'static str,
}

/// The OpenAPI 3.1 description of a table.
pub fn describe(table: &[Route]) -> Value {
    let mut description = Description::new("Cardseal payments");
    for route in table {
        description.add(&route.method, route.path, operation(route));
    }
    description.with(json!({
        "schemas": { "error": error_schema() },
        "securitySchemes": {
            "secret": { "type": "http", "scheme": "bearer", "description": "A secret key, sk_.." },
            "publishable": { "type": "http", "scheme": "bearer",
                "description": "A publishable key, pk_.., with the parameter client_secret." },
        },
    }))
}

fn error_schema() -> Value {
    let text = json!({ "type": "string" });
    json!({ "type": "object", "required": ["error"], "properties": { "error": { "type": "object",
        "required": ["type", "message"],
        "properties": {
            "type": { "enum": ["api_error", "card_error", "idempotency_error", "invalid_request_error"] },
            "code": text, "decline_code": text, "message": text, "param": text, "charge": text,
            "payment_intent": { "type": "object" }, "setup_intent": { "type": "object" },
        } } } })
}

fn operation(route: &Route) -> Value {
    let mut parameters = openapi::in_path(route.path);
    let keyed = route.auth != Auth::Own;
    let mut operation = json!({
        "summary": route.summary,
        "operationId": openapi::operation_id(&route.method, route.path),
        "security": match route.auth {
            Auth::Secret => json!([{ "secret": [] }]),
            Auth::Browser => json!([{ "secret": [] }, { "publishable": [] }]),
            Auth::Own => json!([]),
        },
        "responses": responses(route, keyed),
    });
    if route.method == Method::POST && keyed {
        parameters.push(
            json!({ "name": "Idempotency-Key", "in": "header", "required": false,
            "schema": { "type": "string", "minLength": 1, "maxLength": 255 } }),
        );
        if route.queued {
            parameters.push(
                json!({ "name": "Prefer", "in": "header", "required": false, "schema": { "const": "respond-async" },
                "description": "Answer at once, 202; the rest is told by webhook, or by the object." }),
            );
        }
        operation["requestBody"] = body(&route.takes);
    } else {
        parameters.extend(route.takes.iter().map(|taken| {
            let (name, needed, schema) = taken.described();
            json!({ "name": name, "in": "query", "required": needed, "style": "deepObject", "schema": schema })
        }));
    }
    operation["parameters"] = Value::Array(parameters);
    operation
}

fn body(takes: &[Param]) -> Value {
    let schema = takes::object(takes);
    let is_needed = schema["required"] != json!([]);
    json!({ "required": is_needed,
        "content": { "application/x-www-form-urlencoded": { "schema": schema } } })
}

fn responses(route: &Route, keyed: bool) -> Value {
    let content = match route.answers {
        "" => json!({}),
        kind if kind.contains('/') => json!({ kind: {} }),
        object => json!({ "application/json": { "schema": { "type": "object",
            "properties": { "object": { "const": object } } } } }),
    };
    let mut responses = json!({ "200": { "description": "Done.", "content": content } });
    if route.queued {
        let applied = json!({ "Preference-Applied": { "schema": { "const": "respond-async" } } });
        responses["202"] = json!({ "description": "Accepted: a worker does the rest.", "headers": applied, "content": content });
    }
    if keyed {
        let error =
            json!({ "application/json": { "schema": { "$ref": "#/components/schemas/error" } } });
        for (status, told) in [
            ("400", "The request is at fault; `param` names what."),
            ("401", "No key, or none that may do this."),
            ("402", "The card was declined or could not be processed."),
            ("404", "No such object, for this account and mode."),
            ("409", "The idempotency key is at work in another request."),
            (
                "500",
                "A fault of ours; the same idempotency key goes on where it stopped.",
            ),
            (
                "503",
                "The card vault cannot be reached just now, or too much is waiting (Retry-After).",
            ),
        ] {
            responses[status] = json!({ "description": told, "content": error });
        }
    }
    responses
}
