//! Every route that the API describes, against what callers get wrong. The list comes from `/openapi.json`, which is
//! built from the same table as the router: a new route is in this test by itself, and one that is not described is not
//! served.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::Value;
use vault_api::keys::{ApiKey, Kind, Mode};

use crate::bank::Card;
use crate::parameters::good;
use crate::world::{Answer, World, encode, on_both_stores};

on_both_stores!(
    nobody_and_strangers_see_nothing,
    each_mutation_is_idempotent,
    every_answer_is_locked_down
);

/// One operation of the description.
pub struct Operation {
    pub method: Method,
    pub path: String,
    /// Names and schemas of its parameters.
    pub takes: BTreeMap<String, Value>,
    pub needed: Vec<String>,
    /// It takes a secret key.
    pub keyed: bool,
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Every operation of `/openapi.json`.
pub async fn described(world: &World) -> Vec<Operation> {
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
pub async fn objects(world: &World) -> BTreeMap<&'static str, String> {
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
    world.pay(700, Card::Risky("elevated"), &[]).await.ok();
    let review = world.get("/v1/reviews").await.ok();
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
        ("reviews", text(&review.json["data"][0]["id"])),
    ])
}

impl Operation {
    fn with(&self, id: &str) -> String {
        self.path.replace("{id}", id).replace("{method}", "pm_none")
    }

    /// Its path with the id of a real object.
    pub fn real(&self, objects: &BTreeMap<&'static str, String>) -> String {
        let kind = self.path.split('/').nth(2).unwrap_or_default();
        self.with(objects.get(kind).map_or("none", String::as_str))
    }

    /// Calls it, with the form where its method has it.
    pub async fn call(
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
pub fn same(one: &Answer, other: &Answer) -> bool {
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
        let of_charge = ["refunds", "reviews", "disputes"].map(|kind| real.contains(kind));
        let expand = if of_charge.contains(&true) {
            "charge"
        } else {
            "customer"
        };
        let mut more = operation.takes.iter();
        let more = more.find(|(name, _)| *name != "expand" && !form.contains(name.as_str()));
        let more = match more {
            Some((name, schema)) => good(name, schema),
            None => format!("expand[]={expand}"),
        };
        let other = format!("{form}&{more}");
        let other = other.trim_start_matches('&');
        let other = operation.call(&world, &real, &who, Some(&key), other).await;
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
