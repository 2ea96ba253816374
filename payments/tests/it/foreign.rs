//! Another merchant's id, wherever a route takes one in its parameters, is answered as one that does not exist: the same
//! status, body and headers but for the request's own id. (Ids in paths: [`crate::matrix`].)

use std::collections::BTreeMap;

use axum::http::Method;
use vault_api::keys::{ApiKey, Kind, Mode};

use crate::bank::Card;
use crate::matrix::{Operation, described, objects, same};
use crate::world::{World, encode, on_both_stores};

on_both_stores!(another_merchants_id_is_no_id);

/// The kind of object that a parameter names.
fn kind_of(name: &str, operation: &Operation) -> Option<&'static str> {
    Some(match name {
        "customer" => "customers",
        "payment_method" => "payment_methods",
        "charge" | "source" => "charges",
        "payment_intent" => "payment_intents",
        "webhook_endpoint" => "webhook_endpoints",
        "invoice_settings" => "payment_methods",
        "page" => "payment_intents",
        "starting_after" | "ending_before" => match operation.path.as_str() {
            "/v1/payment_intents" => "payment_intents",
            "/v1/setup_intents" => "setup_intents",
            "/v1/payment_methods" | "/v1/customers/{id}/payment_methods" => "payment_methods",
            "/v1/customers" => "customers",
            "/v1/charges" => "charges",
            "/v1/refunds" => "refunds",
            "/v1/balance_transactions" => "balance_transactions",
            "/v1/events" => "events",
            "/v1/webhook_endpoints" => "webhook_endpoints",
            "/v1/checkout/sessions" => "checkout",
            "/v1/reviews" => "reviews",
            // Without one there is nothing to be found; [`crate::disputes`] has theirs.
            "/v1/disputes" | "/v1/checkout/sessions/{id}/line_items" => {
                return None;
            }
            other => panic!("{other}: a list of what?"),
        },
        _ => return None,
    })
}

// What the stranger has of its own, for ids in paths.
async fn own(world: &World, who: &ApiKey) -> BTreeMap<&'static str, String> {
    let token = world.token(Card::Approves);
    let make = async |path: &str, form: &[(&str, &str)]| {
        let form = encode(form);
        world
            .call(Method::POST, path, who, None, &form)
            .await
            .ok()
            .id()
    };
    let customer = make("/v1/customers", &[]).await;
    let intent = make(
        "/v1/payment_intents",
        &[("amount", "100"), ("currency", "usd")],
    )
    .await;
    let setup = make("/v1/setup_intents", &[]).await;
    let method = make(
        "/v1/payment_methods",
        &[("type", "card"), ("card[token]", &token)],
    )
    .await;
    let events = world
        .call(Method::GET, "/v1/events", who, None, "")
        .await
        .ok();
    let event = events.json["data"][0]["id"]
        .as_str()
        .expect("an event")
        .to_owned();
    BTreeMap::from([
        ("customers", customer),
        ("payment_intents", intent),
        ("setup_intents", setup),
        ("payment_methods", method),
        ("events", event),
    ])
}

async fn another_merchants_id_is_no_id(world: World) {
    let theirs = objects(&world).await;
    let strangers = [
        world.bank.key("mer_two", Kind::Secret, Mode::Test),
        world.bank.key("mer_one", Kind::Secret, Mode::Live),
    ];
    let mut seen = 0;
    for who in &strangers {
        let own = own(&world, who).await;
        let forwards = world.bank.book().forwards.len();
        for operation in described(&world).await.iter().filter(|o| o.keyed) {
            for name in operation.takes.keys() {
                let Some(kind) = kind_of(name, operation) else {
                    continue;
                };
                let real = &theirs[kind];
                let (prefix, stem) = real.rsplit_once('_').expect("an id");
                let random = format!("{prefix}_{}", "x".repeat(stem.len()));
                let ask = async |id: &str| {
                    let path = operation.real(&own);
                    let form = match name.as_str() {
                        "invoice_settings" => format!("{name}[default_payment_method]={id}"),
                        _ => format!("{name}={id}"),
                    };
                    let form = match operation.path.as_str() {
                        "/v1/payment_methods" => format!("{form}&customer={}", own["customers"]),
                        "/v1/payment_intents/search" => format!("{form}&query=amount>1"),
                        "/v1/checkout/sessions" if operation.method == Method::POST => {
                            format!("{form}&mode=setup&success_url=https://x.example/")
                        }
                        _ => format!("{form}{}", operation.needs(name)),
                    };
                    let form = form.replace("amount>1", "amount%3E1");
                    operation.call(&world, &path, who, None, &form).await
                };
                // A list of a customer's cards needs its customer once.
                if operation.path == "/v1/payment_methods" && name == "customer" {
                    continue;
                }
                let (foreign, missing) = (ask(real).await, ask(&random).await);
                assert!(
                    same(&foreign, &missing),
                    "{operation:?} {name} {} {}",
                    foreign.text,
                    missing.text
                );
                assert!(
                    !foreign.text.contains(stem),
                    "{operation:?} {name} {}",
                    foreign.text
                );
                if operation.method == Method::POST && !operation.path.starts_with("/v1/checkout") {
                    let code = foreign.code();
                    assert!(
                        [400, 404].contains(&foreign.status),
                        "{operation:?} {name} {}",
                        foreign.text
                    );
                    assert_eq!(
                        code, "resource_missing",
                        "{operation:?} {name} {}",
                        foreign.text
                    );
                }
                seen += 1;
            }
        }
        assert_eq!(
            world.bank.book().forwards.len(),
            forwards,
            "nothing was sent"
        );
    }
    assert!(seen > 80, "{seen}");
    world.finish().await;
}
