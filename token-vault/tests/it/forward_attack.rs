//! Forward under attack: by the caller, who writes the body, and by the acquirer, who writes the answer.

use harness::shows_a_card;
use serde_json::{Value, json};

use crate::endpoint;
use crate::forward_bodies::{call, forward, grant, start};

const FORMATS: [&str; 3] = ["json", "form", "xml"];

#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_works_in_its_place_only() {
    for (vault, endpoint) in start().await {
        let grant = grant(&vault).await;
        for operation in FORMATS {
            for placeholder in ["{{card.number}}", "{{card.cvc}}", "{{three_d_secure.cavv}}"] {
                for body in [
                    json!({"metadata": {"note": placeholder}}),
                    json!({"card": {"name": placeholder}}),
                    json!({"card": {"number": {"#text": placeholder}}}),
                    json!({"card": {"@number": placeholder}}),
                    json!({"card": [{"number": placeholder}]}),
                    json!({"order": {"reference": placeholder}}),
                    json!({"card": {"number": format!(" {placeholder}")}}),
                    json!({"card": {"x": "{{card.", "y": "number}}"}}),
                    json!({placeholder: "x"}),
                    json!({"card/number": placeholder}),
                    json!({"card~1number": placeholder}),
                ] {
                    let answer =
                        forward(&vault, &call(&grant, operation, "att_1", body.clone())).await;
                    assert_eq!(
                        answer.json["code"], "placeholder_not_allowed",
                        "{operation} {body}"
                    );
                }
            }
        }
        assert!(endpoint.seen().is_empty());
    }
}

// What the caller writes into free fields, names too, either arrives as that text or is refused: never as another
// field, element or header.
#[tokio::test(flavor = "multi_thread")]
async fn markup_and_brackets_stay_what_they_are() {
    let evil = [
        "</note></Payment><x>",
        "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
        "]]><number/>",
        "\" onload=\"x",
        "'/><order><amount>1</amount></order>",
        "&card[number]=1&order[amount]=1",
        "x\r\nhost: evil.example\r\n\r\nGET / HTTP/1.1",
        "%26order%5Bamount%5D=1",
        "\",\"order\":{\"amount\":1},\"x\":\"",
        "\\\",\\\"a\\\":1",
        "\u{2028}\u{feff}<",
    ];
    for (vault, endpoint) in start().await {
        let grant_1 = grant(&vault).await;
        let mut n = 0;
        for operation in FORMATS {
            for text in evil {
                // As a value: it is sent, and reads back as itself.
                n += 1;
                let token = if n % 3 == 0 {
                    grant(&vault).await
                } else {
                    String::new()
                };
                let fresh = if token.is_empty() {
                    grant(&vault).await
                } else {
                    token
                };
                let body =
                    json!({"note": text, "card": {"number": "{{card.number}}", "holder": text}});
                let answer =
                    forward(&vault, &call(&fresh, operation, &format!("att_{n}"), body)).await;
                assert_eq!(
                    answer.json["bytes_sent"], "all",
                    "{operation} {text:?}: {}",
                    answer.text
                );
                let (head, sent) = endpoint.last();
                assert!(!head.contains("evil.example"), "{head}");
                let (note, amount) = read_back(operation, &sent);
                assert_eq!(
                    (note.as_str(), amount.as_str()),
                    (text, "1999"),
                    "{operation} {sent}"
                );

                // As a name: refused, but in JSON, where a name is a string too.
                let seen = endpoint.seen().len();
                let body = json!({"card": {text: "1"}});
                let answer = forward(
                    &vault,
                    &call(&grant_1, operation, &format!("att_{n}_name"), body),
                )
                .await;
                match operation {
                    "xml" => assert_eq!(answer.json["code"], "invalid_request", "{text:?}"),
                    "form" if text.contains(['[', ']']) || text.chars().any(char::is_control) => {
                        assert_eq!(answer.json["code"], "invalid_request", "{text:?}");
                    }
                    _ => continue,
                }
                assert_eq!(endpoint.seen().len(), seen);
            }
        }
        for body in [
            json!({"@xmlns": "urn:evil"}),
            json!({"card": {"@xmlns:x": "urn:evil"}}),
            json!({"a": "\u{0}"}),
        ] {
            let answer = forward(&vault, &call(&grant_1, "xml", "att_ns", body)).await;
            assert_eq!(answer.json["code"], "invalid_request");
        }
        // The amount, currency and reference of the call stand over whatever the tree says.
        let body = json!({"order": {"amount": 1, "currency": "XXX", "reference": "theirs"}});
        let fresh = grant(&vault).await;
        let answer = forward(&vault, &call(&fresh, "json", "att_over", body)).await;
        assert_eq!(answer.json["bytes_sent"], "all");
        let sent: Value = serde_json::from_str(&endpoint.last().1).unwrap();
        assert_eq!(
            sent["order"],
            json!({"amount": 1999, "currency": "USD", "reference": "pi_1"})
        );
    }
}

fn read_back(operation: &str, sent: &str) -> (String, String) {
    match operation {
        "json" => {
            let sent: Value = serde_json::from_str(sent).unwrap();
            let note = sent["note"].as_str().unwrap().to_owned();
            (note, sent["order"]["amount"].to_string())
        }
        "form" => {
            let fields: Vec<_> = form_urlencoded::parse(sent.as_bytes())
                .into_owned()
                .collect();
            let one = |name: &str| {
                let mut found = fields.iter().filter(|(n, _)| n == name);
                let value = found.next().unwrap().1.clone();
                assert!(found.next().is_none(), "{name} twice");
                value
            };
            (one("note"), one("order[amount]"))
        }
        _ => {
            // Another XML reader than the vault's own tree: elements by name, text unescaped.
            let mut reader = quick_xml::Reader::from_str(sent);
            let (mut path, mut note, mut amount) = (vec![], String::new(), String::new());
            loop {
                use quick_xml::events::Event;
                match reader.read_event().unwrap() {
                    Event::Start(start) => path.push(start.name().as_ref().to_vec()),
                    Event::End(_) => drop(path.pop()),
                    Event::Eof => return (note, amount),
                    event => {
                        let text = match event {
                            Event::Text(text) => text.decode().unwrap().into_owned(),
                            Event::GeneralRef(name) => {
                                let c = name.resolve_char_ref().unwrap().map(String::from);
                                let name = name.decode().unwrap();
                                let known = quick_xml::escape::resolve_xml_entity(&name);
                                c.unwrap_or_else(|| known.unwrap().to_owned())
                            }
                            Event::Decl(_) => continue,
                            _ => panic!("more than elements and text: {sent}"),
                        };
                        match path.iter().map(Vec::as_slice).collect::<Vec<_>>()[..] {
                            [b"Payment", b"note"] => note += &text,
                            [b"Payment", b"order", b"amount"] => amount += &text,
                            _ => {}
                        }
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echoing_acquirer_gives_nothing_away() {
    let number = "4242424242424242";
    let spaced = "4242 4242 4242 4242";
    for (vault, endpoint) in start().await {
        let echo = json!({
            "status": format!("declined {number}"), "id": 4_242_424_242_424_242_i64, "message": format!("card {spaced} cvc 123 refused"),
            "list": [number, {"pan": "4242x4242x4242x4242", "deep": {"t": "4242.4242.4242.4242"}}, 4_242_424_242_424_242.0_f64],
            "card": {"number": number, "cvc": "123", "month": "12", "yyyy": 2040, "name": "Ada & Bob", "CVV2": 123, "expiry-date": "12/40", "card_holder": "Ada", "brand": "visa", number: "x"},
            "secret": number
        });
        let form = format!(
            "status={number}&message={spaced}&card[cvc]=123&card[number]={number}&card[name]=Ada&id=4242-4242-4242-4242"
        );
        let xml = format!(
            "<r><status>{number}</status><message at='{spaced}'>x</message><id>&#52;242<![CDATA[424242424242]]></id><card number='{number}'><cvc>123</cvc><number>{spaced}</number><name>Ada</name></card></r>"
        );
        for (n, mut answer) in [
            endpoint::json(&echo.to_string()),
            endpoint::typed("application/x-www-form-urlencoded", &form),
            endpoint::typed("application/xml", &xml),
            endpoint::typed("text/plain", &format!("{number} {spaced} 123")),
        ]
        .into_iter()
        .enumerate()
        {
            // In a header and in the status line's words too.
            let head = format!(
                "HTTP/1.1 402 Card {number}\r\nx-echo: {number}\r\nset-cookie: c={number}\r\n"
            );
            answer.splice(..b"HTTP/1.1 200 OK\r\n".len(), head.into_bytes());
            endpoint.answer(answer);
            let body = json!({"card": {"number": "{{card.number}}", "cvc": "{{card.cvc}}", "month": "{{card.exp_month}}", "name": "{{card.name}}"}});
            let attempt = format!("att_{n}");
            let told = forward(&vault, &call(&grant(&vault).await, "json", &attempt, body)).await;
            assert_eq!(told.json["response"]["status"], 402, "{}", told.text);
            let recorded = vault
                .alice()
                .post("/v1/attempts/close", &json!({"attempt": attempt}))
                .await;
            assert_eq!(recorded.text, told.text);
            for separator in ["", " ", "-", ".", "x"] {
                let two_groups = format!("4242{separator}4242");
                assert!(!told.text.contains(&two_groups), "{}", told.text);
            }
            let fields = told.json["response"]["body"]["card"].as_object();
            for field in [
                "cvc",
                "month",
                "yyyy",
                "name",
                "CVV2",
                "expiry-date",
                "card_holder",
            ] {
                assert!(
                    fields.is_none_or(|f| !f.contains_key(field)),
                    "{field}: {}",
                    told.text
                );
            }
            assert!(!told.text.contains("Ada"), "{}", told.text);
            let headers = format!("{:?}", told.headers);
            assert!(
                !shows_a_card(&headers) && !headers.contains("x-echo"),
                "{headers}"
            );
        }
        // Nothing of it is in the database either.
        let rows = vault
            .app
            .store
            .read(|tx| Ok::<_, token_vault::Error>(tx.all("select outcome from attempts", &[])?))
            .await
            .unwrap();
        for row in rows {
            let outcome: String = row.get(0).unwrap();
            assert!(!outcome.contains("424242"), "{outcome}");
        }
    }
}

// A caller who guesses the CVV or the number puts the guess where the acquirer echoes it. If the vault masked a value
// because it equals the card's, the answer to the right guess would differ from the others: it must not.
#[tokio::test(flavor = "multi_thread")]
async fn a_guess_is_not_answered() {
    for (vault, endpoint) in start().await {
        let mut answers = vec![];
        for guess in [
            "122",
            "123",
            "124",
            "2040",
            "2041",
            "12/40",
            "11/40",
            "Ada & Bob",
            "Ada & Bot",
        ] {
            let echo = json!({"status": "no", "note": guess, "list": [guess, {"v": guess}]});
            endpoint.answer(endpoint::json(&echo.to_string()));
            let body = json!({"card": {"number": "{{card.number}}", "cvc": "{{card.cvc}}", "name": "{{card.name}}"}, "note": guess});
            let attempt = format!("att_{}", answers.len());
            let told = forward(&vault, &call(&grant(&vault).await, "json", &attempt, body)).await;
            assert_eq!(told.json["response"]["body"], echo);
            answers.push((
                told.status,
                told.json["bytes_sent"].clone(),
                told.json["cvc_sent"].clone(),
            ));
        }
        assert!(
            answers.windows(2).all(|pair| pair[0] == pair[1]),
            "{answers:?}"
        );
        // A number: the card's own, and one that is not it, are both PAN-shaped and both masked.
        let mut masked = vec![];
        for guess in ["4242424242424242", "4000000000000002", "5555555555554444"] {
            endpoint.answer(endpoint::json(&json!({"note": guess}).to_string()));
            let body = json!({"card": {"number": "{{card.number}}"}});
            let attempt = format!("att_pan_{}", masked.len());
            let told = forward(&vault, &call(&grant(&vault).await, "json", &attempt, body)).await;
            let note = told.json["response"]["body"]["note"]
                .as_str()
                .unwrap()
                .to_owned();
            assert_eq!(note, format!("************{}", &guess[12..]));
            masked.push(note);
        }
        // And a body with a number in it is refused whether it is the card's or not.
        for guess in ["4242424242424242", "4000000000000002"] {
            let told = forward(
                &vault,
                &call(
                    &grant(&vault).await,
                    "json",
                    "att_in",
                    json!({"note": guess}),
                ),
            )
            .await;
            assert_eq!(told.json["code"], "card_number_in_wrong_place");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_and_typed_fields_have_bounds() {
    for (vault, endpoint) in start().await {
        let grant = grant(&vault).await;
        // Within the call's limit, past the request's once every apostrophe is six bytes.
        let large = json!({"note": "'".repeat(60_000)});
        let answer = forward(&vault, &call(&grant, "xml", "att_1", large)).await;
        assert_eq!(answer.json["code"], "payload_too_large", "{}", answer.text);
        for depth in [40, 120] {
            let mut deep = json!(1);
            for _ in 0..depth {
                deep = json!({"a": deep});
            }
            let answer = forward(&vault, &call(&grant, "json", "att_1", deep)).await;
            assert!(matches!(answer.status, 400 | 422), "{}", answer.text);
        }
        for (field, value) in [
            ("attempt", "a\r\nx-evil: 1"),
            ("reference", "pi_1\r\nhost: evil"),
            ("reference", "pi_1</reference>"),
            ("reference", "pi_1&order[amount]=1"),
            ("reference", "{{card.number}}"),
            ("attempt", "{{card.cvc}}"),
            ("currency", "us\""),
            ("currency", "USD"),
        ] {
            let mut call = call(&grant, "xml", "att_1", json!({}));
            call[field] = json!(value);
            assert_eq!(
                forward(&vault, &call).await.json["code"],
                "invalid_request",
                "{field} {value}"
            );
        }
        for (field, value) in [
            ("destination", "http://evil.example"),
            ("operation", "../refunds"),
            ("operation", ""),
        ] {
            let mut call = call(&grant, "xml", "att_1", json!({}));
            call[field] = json!(value);
            assert_eq!(
                forward(&vault, &call).await.json["code"],
                "operation_not_allowed",
                "{field} {value}"
            );
        }
        assert!(endpoint.seen().is_empty());
        // None of it used the grant up.
        let fine = forward(&vault, &call(&grant, "json", "att_1", json!({}))).await;
        assert_eq!(fine.status, 200);
    }
}
