//! Every route that the API describes, against what callers get wrong. The list comes from `/openapi.json`, which is
//! built from the same table as the router: a new route is in this test by itself, and one that is not described is not
//! served.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::Value;
use vault_api::keys::{ApiKey, Kind, Mode};

use crate::bank::Card;
use crate::world::{Answer, World, encode, on_both_stores};

on_both_stores!(
    nobody_and_strangers_see_nothing,
    each_parameter_has_its_type,
    each_mutation_is_idempotent,
    every_answer_is_locked_down
);

/// One operation of the description.
#[derive(Debug)]
struct Operation {
    method: Method,
    path: String,
    /// Names and schemas of its parameters.
    takes: BTreeMap<String, Value>,
    needed: Vec<String>,
    /// It takes a secret key.
    keyed: bool,
}

async fn described(world: &World) -> Vec<Operation> {
    let document = world
        .raw(Method::GET, "/openapi.json", &[], "")
        .await
        .ok()
        .json;
    assert_eq!(document["openapi"], "3.1.0");
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let schema =
                &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
            let mut takes: BTreeMap<String, Value> = BTreeMap::new();
            if let Some(properties) = schema["properties"].as_object() {
                takes.extend(properties.clone());
            }
            let parameters = operation["parameters"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let mut needed: Vec<String> = Vec::new();
            for parameter in parameters.iter().filter(|p| p["in"] == "query") {
                let name = parameter["name"].as_str().expect("a name").to_owned();
                if parameter["required"] == true {
                    needed.push(name.clone());
                }
                takes.insert(name, parameter["schema"].clone());
            }
            let body_needs = schema["required"].as_array().cloned().unwrap_or_default();
            needed.extend(
                body_needs
                    .iter()
                    .map(|n| n.as_str().expect("a name").to_owned()),
            );
            operations.push(Operation {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                takes,
                needed,
                keyed: operation["security"]
                    .as_array()
                    .is_some_and(|s| !s.is_empty()),
            });
        }
    }
    assert!(operations.len() > 60, "{}", operations.len());
    operations
}

/// Real objects of the world's merchant, by the first part of their path.
async fn objects(world: &World) -> BTreeMap<&'static str, String> {
    let paid = world.pay(700, Card::Approves, &[]).await.ok();
    let refund = [
        ("payment_intent", paid.json["id"].as_str().expect("an id")),
        ("amount", "100"),
    ];
    let refund = world.post("/v1/refunds", &refund).await.ok().id();
    let balance = world.get("/v1/balance_transactions").await.ok();
    let hook = [
        ("url", "http://127.0.0.1:1/x"),
        ("enabled_events[]", "invoice.paid"),
    ];
    let hook = world.post("/v1/webhook_endpoints", &hook).await.ok().id();
    let session = [("mode", "setup"), ("success_url", "https://shop.example/")];
    let session = world
        .post("/v1/checkout/sessions", &session)
        .await
        .ok()
        .id();
    let events = world.get("/v1/events").await.ok();
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    BTreeMap::from([
        ("payment_intents", paid.id()),
        (
            "setup_intents",
            world.post("/v1/setup_intents", &[]).await.ok().id(),
        ),
        ("payment_methods", world.method(Card::Approves).await),
        ("customers", world.customer().await),
        ("charges", text(&paid.json["latest_charge"])),
        ("refunds", refund),
        ("balance_transactions", text(&balance.json["data"][0]["id"])),
        ("events", text(&events.json["data"][0]["id"])),
        ("webhook_endpoints", hook),
        ("checkout", session),
    ])
}

impl Operation {
    fn with(&self, id: &str) -> String {
        self.path.replace("{id}", id).replace("{method}", "pm_none")
    }

    fn real(&self, objects: &BTreeMap<&'static str, String>) -> String {
        let kind = self.path.split('/').nth(2).unwrap_or_default();
        self.with(objects.get(kind).map_or("none", String::as_str))
    }

    async fn call(
        &self,
        world: &World,
        path: &str,
        who: &ApiKey,
        key: Option<&str>,
        form: &str,
    ) -> Answer {
        if self.method == Method::POST {
            return world.call(Method::POST, path, who, key, form).await;
        }
        let path = if form.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{form}")
        };
        world.call(self.method.clone(), &path, who, key, "").await
    }
}

// But for the request's own id, two refusals are the same.
fn same(one: &Answer, other: &Answer) -> bool {
    let names = |answer: &Answer| -> Vec<String> {
        let kept = answer.headers.iter().filter(|(name, _)| {
            !["request-id", "date", "original-request"].contains(&name.as_str())
        });
        let mut all: Vec<String> = kept
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        all.sort();
        all
    };
    one.status == other.status && one.text == other.text && names(one) == names(other)
}

async fn nobody_and_strangers_see_nothing(world: World) {
    let objects = objects(&world).await;
    let stranger = world.bank.key("mer_two", Kind::Secret, Mode::Test);
    let live = world.bank.key("mer_one", Kind::Secret, Mode::Live);
    let unknown = ApiKey::random(Kind::Secret, Mode::Test);
    for operation in described(&world).await.iter().filter(|o| o.keyed) {
        let real = operation.real(&objects);
        let nobody = world.raw(operation.method.clone(), &real, &[], "").await;
        assert_eq!(nobody.status, 401, "{operation:?}");
        let answer = operation.call(&world, &real, &unknown, None, "").await;
        assert_eq!(answer.status, 401, "{operation:?}");
        let browser = operation
            .call(&world, &real, &world.browser, None, "")
            .await;
        assert!(
            [400, 401].contains(&browser.status),
            "{operation:?} {}",
            browser.text
        );
        if !operation.path.contains("{id}") {
            continue;
        }
        // With what the route needs, so that the object is looked for.
        let form: String = operation
            .needed
            .iter()
            .map(|name| format!("{name}=cus_none&"))
            .collect();
        let random = operation
            .call(&world, &operation.with("none"), &stranger, None, &form)
            .await;
        assert_eq!(random.status, 404, "{operation:?} {}", random.text);
        assert_eq!(random.code(), "resource_missing", "{operation:?}");
        for who in [&stranger, &live] {
            let foreign = operation.call(&world, &real, who, None, &form).await;
            assert!(
                same(&foreign, &random),
                "{operation:?} {} {}",
                foreign.text,
                random.text
            );
        }
    }
    world.finish().await;
}

async fn each_parameter_has_its_type(world: World) {
    let objects = objects(&world).await;
    let who = world.merchant.clone();
    for operation in described(&world).await.iter().filter(|o| o.keyed) {
        let real = operation.real(&objects);
        let refused = async |form: String| {
            let answer = operation.call(&world, &real, &who, None, &form).await;
            let error = &answer.json["error"];
            assert_eq!(answer.status, 400, "{operation:?} {form} {}", answer.text);
            assert_eq!(
                error["type"], "invalid_request_error",
                "{operation:?} {form}"
            );
            for part in ["canary", "4242"] {
                let message = error["message"].as_str().expect("a message");
                assert!(!message.contains(part), "{operation:?} {}", answer.text);
            }
            answer
        };
        let unknown = refused("strange=canary".into()).await;
        let param = unknown.json["error"]["param"].as_str().unwrap_or_default();
        let needed = operation.needed.iter().any(|name| name == param);
        // A refund needs one of two, which no list of parameters says.
        let one_of_two = operation.path == "/v1/refunds";
        assert!(
            param == "strange" || needed || one_of_two,
            "{operation:?} {}",
            unknown.text
        );
        let card = refused("description=4242424242424242".into()).await;
        assert_eq!(card.code(), "card_data_not_allowed", "{operation:?}");
        for (name, schema) in &operation.takes {
            // Only a browser's call is judged by it.
            if name == "client_secret" {
                continue;
            }
            let wrong: &[&str] = match schema["type"].as_str() {
                Some("integer") => &[
                    "=canary",
                    "=1.5",
                    "=1e3",
                    "=-",
                    "=99999999999999999999",
                    "[strange]=1",
                ],
                Some("boolean") => &["=canary", "=1", "[strange]=true"],
                Some("object" | "array") => &["=canary"],
                Some(_) => &["[strange]=1"],
                None => &["=canary", "[gte]=canary", "[strange]=1"],
            };
            for wrong in wrong {
                let answer = refused(format!("{name}{wrong}")).await;
                let param = answer.json["error"]["param"].as_str().unwrap_or_default();
                let told = param.starts_with(name.as_str())
                    || operation.needed.iter().any(|needed| needed == param)
                    || operation.path == "/v1/refunds"
                    || operation.path.ends_with("/capture")
                    || operation.path.ends_with("/confirm");
                assert!(told, "{operation:?} {name}{wrong} {}", answer.text);
            }
        }
    }
    assert_eq!(world.bank.charges(), 1, "no mistake charged anything");
    world.finish().await;
}

async fn each_mutation_is_idempotent(world: World) {
    let objects = objects(&world).await;
    let who = world.merchant.clone();
    let posts = described(&world).await;
    let changes =
        |o: &&Operation| o.keyed && o.method == Method::POST && !o.path.ends_with("/explain");
    let posts = posts.iter().filter(changes);
    for (place, operation) in posts.enumerate() {
        let (real, key) = (operation.real(&objects), format!("key-{place}"));
        let form = sample(&operation.path, &world);
        let first = operation.call(&world, &real, &who, Some(&key), &form).await;
        assert_eq!(
            first.headers["idempotency-key"],
            key.as_str(),
            "{operation:?} {}",
            first.text
        );
        let again = operation.call(&world, &real, &who, Some(&key), &form).await;
        assert_eq!(
            (again.status, &again.text),
            (first.status, &first.text),
            "{operation:?}"
        );
        if first.status != 200 {
            // A refusal did nothing, so its key is free.
            assert!(
                [400, 404].contains(&first.status),
                "{operation:?} {}",
                first.text
            );
            continue;
        }
        assert_eq!(
            again.headers["idempotent-replayed"], "true",
            "{operation:?}"
        );
        let other = operation
            .call(&world, &real, &who, Some(&key), "metadata[other]=1")
            .await;
        assert_eq!(
            (other.status, &other.json["error"]["type"]),
            (400, &"idempotency_error".into()),
            "{operation:?}"
        );
    }
    let long = "k".repeat(256);
    let refused = world.post_as(&long, "/v1/customers", &[]).await;
    assert_eq!(refused.json["error"]["type"], "idempotency_error");
    world.finish().await;
}

/// A body that the route takes.
fn sample(path: &str, world: &World) -> String {
    let token = world.token(Card::Approves);
    let form: Vec<(&str, &str)> = match path {
        "/v1/payment_intents" => vec![("amount", "500"), ("currency", "usd")],
        "/v1/payment_methods" => vec![("type", "card"), ("card[token]", &token)],
        "/v1/checkout/sessions" => {
            vec![("mode", "setup"), ("success_url", "https://shop.example/")]
        }
        "/v1/webhook_endpoints" => vec![
            ("url", "http://127.0.0.1:1/y"),
            ("enabled_events[]", "invoice.paid"),
        ],
        _ => vec![],
    };
    encode(&form)
}

async fn every_answer_is_locked_down(world: World) {
    let objects = objects(&world).await;
    let who = world.merchant.clone();
    for operation in described(&world).await {
        let answer = operation
            .call(&world, &operation.real(&objects), &who, None, "")
            .await;
        for (name, wanted) in [
            (
                "strict-transport-security",
                "max-age=63072000; includeSubDomains; preload",
            ),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ] {
            let value = answer
                .headers
                .get(name)
                .unwrap_or_else(|| panic!("{operation:?} has no {name}"));
            assert_eq!(value, wanted, "{operation:?}");
        }
        let policy = answer.headers["content-security-policy"]
            .to_str()
            .expect("text");
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{operation:?} {policy}"
        );
        assert!(answer.headers.contains_key("request-id"), "{operation:?}");
    }
    let scraped = world.metrics().await;
    for wanted in [
        "payments_requests_total{method=\"GET\",route=\"/v1/charges/{id}\",status=\"200\"}",
        "payments_request_seconds_bucket{method=\"POST\",route=\"/v1/refunds\"",
    ] {
        assert!(scraped.contains(wanted), "{wanted}");
    }
    world.finish().await;
}
