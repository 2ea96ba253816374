//! Billing details: kept, shown, and the part that an issuer compares sent with the card.

use serde_json::{Value, json};

use crate::bank::Card;
use crate::world::{World, on_both_stores};

on_both_stores!(
    the_address_goes_with_the_card_and_stays_with_it,
    what_is_no_address_is_refused,
);

const PATH: &str = "payment_method_data[billing_details]";

impl World {
    // What the last authorisation said of the address.
    fn compared(&self) -> Value {
        let book = self.bank.book();
        let last = book.forwards.last().expect("a send");
        last["body"]["billing"].clone()
    }
}

async fn the_address_goes_with_the_card_and_stays_with_it(world: World) {
    world.pay(1000, Card::Approves, &[]).await.ok();
    assert_eq!(world.compared(), Value::Null);
    let customer = world.customer().await;
    let names = [
        "[name]",
        "[email]",
        "[address][line1]",
        "[address][postal_code]",
        "[address][country]",
    ];
    let names = names.map(|name| format!("{PATH}{name}"));
    let said = [
        "Ada Lovelace",
        "ada@example.com",
        "1 High Street",
        "12345",
        "GB",
    ];
    let mut extra: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(said).collect();
    extra.extend([
        ("customer", customer.as_str()),
        ("setup_future_usage", "off_session"),
    ]);
    extra.push(("expand[]", "latest_charge"));
    let paid = world.pay(1000, Card::Checks("M", "Z"), &extra).await.ok();
    let address = json!({ "line1": "1 High Street", "postal_code": "12345" });
    assert_eq!(world.compared(), address);
    let wanted = json!({
        "address": { "city": null, "country": "GB", "line1": "1 High Street", "line2": null,
                     "postal_code": "12345", "state": null },
        "email": "ada@example.com", "name": "Ada Lovelace", "phone": null, "tax_id": null,
    });
    let charge = &paid.json["latest_charge"];
    assert_eq!(charge["billing_details"], wanted);
    let checks = &charge["payment_method_details"]["card"]["checks"];
    assert_eq!(
        (
            &checks["address_line1_check"],
            &checks["address_postal_code_check"]
        ),
        (&json!("fail"), &json!("pass"))
    );
    let method = paid.json["payment_method"]
        .as_str()
        .expect("an id")
        .to_owned();
    let shown = world
        .get(&format!("/v1/payment_methods/{method}"))
        .await
        .ok();
    assert_eq!(shown.json["billing_details"], wanted);
    // The saved card is paid with again, and the issuer compares again.
    let form = [
        ("amount", "500"),
        ("currency", "usd"),
        ("customer", customer.as_str()),
        ("payment_method", method.as_str()),
        ("off_session", "true"),
        ("confirm", "true"),
    ];
    world.post("/v1/payment_intents", &form).await.ok();
    assert_eq!(world.compared(), address);
    // A payment method of its own, with a postal code alone: nothing is said of a first line that nobody sent.
    let token = world.token(Card::Checks("M", "Z"));
    let form = [
        ("type", "card"),
        ("card[token]", token.as_str()),
        ("billing_details[address][postal_code]", "12345"),
        ("billing_details[address][line1]", ""),
    ];
    let method = world.post("/v1/payment_methods", &form).await.ok();
    assert_eq!(
        method.json["billing_details"]["address"]["postal_code"],
        "12345"
    );
    let id = method.id();
    let form = [
        ("amount", "500"),
        ("currency", "usd"),
        ("payment_method", id.as_str()),
        ("confirm", "true"),
        ("expand[]", "latest_charge"),
    ];
    let paid = world.post("/v1/payment_intents", &form).await.ok();
    assert_eq!(world.compared(), json!({ "postal_code": "12345" }));
    let checks = &paid.json["latest_charge"]["payment_method_details"]["card"]["checks"];
    assert_eq!(
        (
            &checks["address_line1_check"],
            &checks["address_postal_code_check"]
        ),
        (&Value::Null, &json!("pass"))
    );
    world.finish().await;
}

async fn what_is_no_address_is_refused(world: World) {
    let long = "x".repeat(201);
    for (name, value, code) in [
        ("[colour]", "red", "parameter_unknown"),
        ("[address][planet]", "Mars", "parameter_unknown"),
        ("[address][country]", "gb", "country_code_invalid"),
        ("[address][country]", "Germany", "country_code_invalid"),
        ("[address][line1]", "{{card.number}}", ""),
        (
            "[address][line1]",
            long.as_str(),
            "parameter_invalid_string_too_long",
        ),
        ("[address]", "1 High Street", "parameter_invalid_hash"),
        (
            "[address][line1]",
            "4242 4242 4242 4242",
            "card_data_not_allowed",
        ),
    ] {
        let name = format!("{PATH}{name}");
        let refused = world.pay(1000, Card::Approves, &[(&name, value)]).await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, code),
            "{name}: {}",
            refused.text
        );
    }
    assert!(world.bank.book().forwards.is_empty());
    world.finish().await;
}
