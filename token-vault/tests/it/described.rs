//! What is served is described and what is described is served, with the whole header set and documented codes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use harness::http::{Answer, Http};
use serde_json::{Value, json};
use token_vault::http::doors::Listener;
use token_vault::http::routes::describe;
use token_vault::{operator, private, public};
use vault_api::Code;

use crate::vault::{Vault, on_each_store};

/// Every listener of a vault with its name.
fn listeners(vault: &Vault) -> [(&'static str, &Http); 3] {
    [
        ("public", &vault.public),
        ("private", &vault.private),
        ("admin", &vault.admin),
    ]
}

/// Method and path of each operation, an id in place of each parameter.
fn operations(description: &Value) -> Vec<(String, String)> {
    let paths = description["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, methods)| {
            let path: Vec<&str> = path
                .split('/')
                .map(|part| {
                    if part.starts_with('{') {
                        "nothing-here"
                    } else {
                        part
                    }
                })
                .collect();
            let path = path.join("/");
            let methods = methods.as_object().unwrap();
            methods
                .keys()
                .map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect()
}

async fn ask(http: &Http, method: &str, path: &str) -> Answer {
    match method {
        "GET" => http.get(path).await,
        "DELETE" => http.delete(path).await,
        "POST" => http.post(path, &json!({})).await,
        "PUT" => http.put(path, &json!({})).await,
        "PATCH" => http.patch(path, &json!({})).await,
        _ => panic!("{method}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptions_and_routes_agree_in_both_directions() {
    on_each_store(|vault| async move {
        for (name, http) in listeners(&vault) {
            let description = http.get("/openapi.json").await;
            assert_eq!(description.status, 200, "{name}");
            assert_eq!(description.json["openapi"], "3.1.0");
            let described: BTreeSet<_> = operations(&description.json).into_iter().collect();
            let paths: BTreeSet<&String> = described.iter().map(|(_, path)| path).collect();
            for path in paths {
                for method in ["GET", "POST", "DELETE", "PUT", "PATCH"] {
                    let answer = ask(http, method, path).await;
                    // What is described has a handler; what is not has none.
                    let has_handler = answer.status != 405;
                    let told = described.contains(&(method.to_owned(), path.clone()));
                    assert_eq!(has_handler, told, "{name} {method} {path}: {}", answer.text);
                }
            }
            for path in ["/", "/v1", "/v1/nothing/here", "/v2/tokens"] {
                assert_eq!(
                    ask(http, "GET", path).await.json["code"],
                    "not_found",
                    "{name} {path}"
                );
            }
        }
    })
    .await;
}

#[test]
fn no_route_is_added_beside_the_table() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut adding = vec![];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).unwrap().contains(".route(") {
                adding.push(path.file_name().unwrap().to_owned());
            }
        }
    }
    assert_eq!(adding, ["routes.rs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_header_set() {
    on_each_store(|vault| async move {
        for (name, http) in listeners(&vault) {
            let description = http.get("/openapi.json").await.json;
            let mut asked = operations(&description);
            asked.push(("GET".to_owned(), "/nothing/here".to_owned()));
            asked.push(("PUT".to_owned(), "/openapi.json".to_owned()));
            asked.push(("GET".to_owned(), "/v1/4242424242424242".to_owned()));
            for (method, path) in asked {
                let answer = ask(http, &method, &path).await;
                for (header, value) in [
                    (
                        "strict-transport-security",
                        "max-age=63072000; includeSubDomains; preload",
                    ),
                    ("x-content-type-options", "nosniff"),
                    ("referrer-policy", "no-referrer"),
                    ("cross-origin-opener-policy", "same-origin"),
                ] {
                    assert_eq!(
                        answer.headers.get(header).map(|v| v.to_str().unwrap()),
                        Some(value),
                        "{name} {method} {path}"
                    );
                }
                for header in [
                    "content-security-policy",
                    "permissions-policy",
                    "cross-origin-resource-policy",
                    "cache-control",
                    "request-id",
                ] {
                    assert!(
                        answer.headers.contains_key(header),
                        "{name} {method} {path}: {header}"
                    );
                }
                let policy = answer.headers["content-security-policy"].to_str().unwrap();
                assert!(
                    policy.contains("default-src 'none'") && policy.contains("frame-ancestors"),
                    "{policy}"
                );
                if answer.status >= 400 && answer.status != 503 {
                    assert_eq!(
                        answer.headers["content-type"], "application/problem+json",
                        "{name} {method} {path}"
                    );
                }
            }
        }
    })
    .await;
}

fn descriptions() -> [(&'static str, Value); 3] {
    [
        ("public", describe(Listener::Public, &public::table())),
        ("private", describe(Listener::Private, &private::table())),
        ("admin", describe(Listener::Admin, &operator::table())),
    ]
}

#[test]
fn every_reference_of_a_description_is_there() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                    found.push(target.to_owned());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    for (name, description) in descriptions() {
        let mut found = vec![];
        references(&description, &mut found);
        assert!(!found.is_empty(), "{name}");
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(description.pointer(pointer).is_some(), "{name}: {target}");
        }
        let ids: Vec<&Value> = description["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|methods| methods.as_object().unwrap().values())
            .map(|operation| &operation["operationId"])
            .collect();
        let unique: BTreeSet<String> = ids.iter().map(|id| id.to_string()).collect();
        assert_eq!(unique.len(), ids.len(), "{name}: {ids:?}");
    }
}

/// The table of all codes, and where each is answered.
fn errors_page() -> String {
    let mut page = String::from(
        "# Errors of the vault\n\n\
         Every error is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `request_id`, and for a used\n\
         token `used_at` and `used_by_request`. Compare `code`; it is stable. No error repeats what was sent.\n\n\
         Generated from `vault_api::problem::Code` and the table of routes. To write it again after a change:\n\
         `CARDSEAL_WRITE_DOCS=1 cargo test -p token-vault --test it described`.\n\n\
         | code | status | what it says | own to |\n|---|---|---|---|\n",
    );
    let descriptions = descriptions();
    for code in Code::ALL {
        let told = format!("`{}`:", code.as_str());
        let mut routes = vec![];
        let mut all = 0;
        for (_, description) in &descriptions {
            for (path, methods) in description["paths"].as_object().unwrap() {
                for (method, operation) in methods.as_object().unwrap() {
                    all += 1;
                    if operation["responses"].to_string().contains(&told) {
                        let route = format!("{} {path}", method.to_uppercase());
                        if !routes.contains(&route) {
                            routes.push(route);
                        }
                    }
                }
            }
        }
        let own = match routes.len() {
            0 => "any path".to_owned(),
            many if many > all / 2 => "nearly every call".to_owned(),
            many if many > 6 => "calls with a body, a query or a key".to_owned(),
            _ => routes.join(", "),
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {own} |",
            code.as_str(),
            code.status(),
            code.title()
        );
    }
    page.push_str(
        "\n## Objects in the wrong state\n\nA key of the other mode, or one that was revoked, is `unauthenticated` at every call of the \
         private listener.\n\n| call | when | answer |\n|---|---|---|\n",
    );
    for (_, call, state, answer) in crate::states::STATES {
        let _ = writeln!(page, "| {call} | {state} | `{answer}` |");
    }
    page
}

#[test]
fn the_page_of_errors_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vault-errors.md");
    let page = errors_page();
    if std::env::var_os("CARDSEAL_WRITE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/vault-errors.md is stale; run: CARDSEAL_WRITE_DOCS=1 cargo test -p token-vault --test it described"
    );
}
