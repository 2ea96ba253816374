//! Three acquirers behind one API, over the running programs: the same story in every dialect gives the same events,
//! and whatever goes wrong, the acquirers' books and the payments agree in the end: nothing is charged twice.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::programs::built;
use harness::{Answer, Demo, Http};
use serde_json::{Value, json};

/// Ports that no other test uses.
const PORTS: u16 = 24_220;

/// The demo's acquirers and the dialects they speak.
const ACQUIRERS: [(&str, &str); 3] = [
    ("northbank", "json"),
    ("southbank", "form"),
    ("westbank", "xml"),
];

struct World {
    demo: Demo,
    payments: Http,
    vault: Http,
    bank: Http,
}

#[tokio::test(flavor = "multi_thread")]
async fn three_dialects_are_one_and_every_fault_converges() {
    let demo = tokio::task::spawn_blocking(|| Demo::start(PORTS))
        .await
        .expect("joins")
        .expect("the demo starts");
    let world = World {
        payments: Http::new(demo.get("payments")).bearer(demo.get("secret_key")),
        vault: Http::new(demo.get("vault_private")).bearer(demo.get("vault_key")),
        bank: Http::new(demo.get("acquirer_admin")),
        demo,
    };
    let mut stories = vec![];
    for (name, dialect) in ACQUIRERS {
        world.only(name).await;
        stories.push(world.story(dialect).await);
    }
    assert_eq!(stories[0], stories[1], "json and form");
    assert_eq!(stories[0], stories[2], "json and xml");
    for (name, dialect) in ACQUIRERS {
        world.only(name).await;
        world.faults(dialect).await;
    }
    let mut returned = vec![];
    for (name, dialect) in ACQUIRERS {
        world.only(name).await;
        returned.push(world.refunds_take_their_course(dialect).await);
    }
    world.books_agree().await;
    world.a_day_later(&returned).await;
    world.authorisations_expire().await;
}

async fn post(payments: &Http, path: &str, form: &[(&str, &str)]) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let kind = "application/x-www-form-urlencoded";
    payments.post_text(path, kind, &body).await
}

impl World {
    fn operate(&self, arguments: &[&str]) {
        let database = format!(
            "sqlite:{}",
            self.demo.data_dir.join("payments.db").display()
        );
        let output = Command::new(built("payments").expect("built"))
            .args(arguments)
            .args(["--database", &database])
            .output()
            .expect("run");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
    }

    /// Every other acquirer is taken out.
    async fn only(&self, name: &str) {
        for (other, _) in ACQUIRERS {
            let verb = if other == name { "enable" } else { "disable" };
            self.operate(&[
                "route",
                verb,
                other,
                "--by",
                "test",
                "--reason",
                "one dialect",
            ]);
        }
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let why = self
                .post(
                    "/v1/routing/explain",
                    &[("amount", "100"), ("currency", "usd")],
                )
                .await;
            // The first of three is chosen before the others are out, too: each must say so.
            let others_out = why["candidates"].as_array().is_some_and(|all| {
                all.iter()
                    .all(|one| one["acquirer"] == name || one["state"] == "disabled")
            });
            if why["chosen"] == name && others_out {
                return;
            }
            assert!(Instant::now() < until, "{why}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        post(&self.payments, path, form).await.json
    }

    async fn pay(&self, amount: i64, number: &str, extra: &[(&str, &str)]) -> Value {
        let card = json!({ "card": { "number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123" } });
        let token = self.vault.post("/v1/tokens", &card).await;
        let token = token.json["id"].as_str().expect("a token").to_owned();
        let amount = amount.to_string();
        let mut form = vec![
            ("amount", amount.as_str()),
            ("currency", "usd"),
            ("confirm", "true"),
            ("payment_method_data[type]", "card"),
            ("payment_method_data[card][token]", token.as_str()),
        ];
        form.extend_from_slice(extra);
        // As the official SDKs do: what did not get through, or the server could not do, is asked again under its key.
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = format!("pay-{}", KEYS.fetch_add(1, Ordering::Relaxed));
        let payments = self.payments.with("idempotency-key", &key);
        let mut tries = 0;
        loop {
            let answer = post(&payments, "/v1/payment_intents", &form).await;
            let again = answer.status == 409 || answer.status == 429 || answer.status >= 500;
            if !again || answer.json["error"]["payment_intent"].is_object() {
                return answer.json;
            }
            tries += 1;
            assert!(tries < 5, "{} {}", answer.status, answer.text);
            tokio::time::sleep(Duration::from_millis(500 * tries)).await;
        }
    }

    /// Waits until nobody is finding anything out about the intent.
    async fn settled(&self, id: &str) -> Value {
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            let path = format!("/v1/payment_intents/{id}");
            let intent = self.payments.get(&path).await.json;
            if intent["status"] != "processing" {
                return intent;
            }
            assert!(Instant::now() < until, "{intent}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The same story at whatever acquirer is asked; what was told of it, without names and times.
    async fn story(&self, dialect: &str) -> Vec<Value> {
        let since = self.last_event().await;
        let paid = self.pay(2000, "4242424242424242", &[]).await;
        assert_eq!(paid["status"], "succeeded", "{dialect}: {paid}");
        let id = paid["id"].as_str().expect("an id");
        for (amount, expected) in [("500", "succeeded"), ("1500", "succeeded")] {
            let form = [("payment_intent", id), ("amount", amount)];
            assert_eq!(self.post("/v1/refunds", &form).await["status"], expected);
        }
        for (number, code) in [
            ("4000000000000002", "generic_decline"),
            ("4000000000009995", "insufficient_funds"),
            ("4000000000000069", "expired_card"),
            ("4000000000000127", "incorrect_cvc"),
            ("4000000000000119", "processing_error"),
            ("4100000000000019", "fraudulent"),
        ] {
            let declined = self.pay(2000, number, &[]).await;
            assert_eq!(
                declined["error"]["decline_code"], code,
                "{dialect}: {declined}"
            );
        }
        let manual = [("capture_method", "manual")];
        for number in ["4000000000000010", "4000000000000028", "4000000000000036"] {
            let held = self.pay(3000, number, &manual).await;
            let path = format!(
                "/v1/payment_intents/{}",
                held["id"].as_str().expect("an id")
            );
            let captured = self
                .post(&format!("{path}/capture"), &[("amount_to_capture", "1000")])
                .await;
            assert_eq!(captured["amount_received"], 1000, "{dialect}: {captured}");
        }
        let address = [
            (
                "payment_method_data[billing_details][address][line1]",
                "1 High Street",
            ),
            (
                "payment_method_data[billing_details][address][postal_code]",
                "12345",
            ),
            ("expand[]", "latest_charge"),
        ];
        for (number, line1, postal_code) in [
            ("4242424242424242", "pass", "pass"),
            ("4000000000000028", "fail", "pass"),
            ("4000000000000036", "pass", "fail"),
        ] {
            let paid = self.pay(3100, number, &address).await;
            let checks = &paid["latest_charge"]["payment_method_details"]["card"]["checks"];
            assert_eq!(
                (
                    &checks["address_line1_check"],
                    &checks["address_postal_code_check"]
                ),
                (&json!(line1), &json!(postal_code)),
                "{dialect}: {paid}"
            );
        }
        let held = self.pay(3000, "5555555555554444", &manual).await;
        let path = format!(
            "/v1/payment_intents/{}",
            held["id"].as_str().expect("an id")
        );
        let canceled = self.post(&format!("{path}/cancel"), &[]).await;
        assert_eq!(canceled["status"], "canceled", "{dialect}: {canceled}");
        self.dispute(dialect).await;
        self.told_since(&since).await
    }

    /// Refunds that do not end with their answer: one is pending and then done, one is done and comes back. The id of that.
    async fn refunds_take_their_course(&self, dialect: &str) -> String {
        let mut ids = vec![];
        for (number, at_first) in [
            ("4000000000007726", "pending"),
            ("4000000000005126", "succeeded"),
        ] {
            let paid = self.pay(2600, number, &[]).await;
            let intent = paid["id"].as_str().expect("an id");
            let form = [("payment_intent", intent), ("amount", "600")];
            let refund = self.post("/v1/refunds", &form).await;
            assert_eq!(refund["status"], at_first, "{dialect}: {refund}");
            ids.push(refund["id"].as_str().expect("an id").to_owned());
        }
        for (id, in_the_end) in ids.iter().zip(["succeeded", "failed"]) {
            let until = Instant::now() + Duration::from_secs(60);
            loop {
                let refund = self.payments.get(&format!("/v1/refunds/{id}")).await.json;
                if refund["status"] == in_the_end {
                    let why = refund["failure_reason"].as_str();
                    let wanted = (in_the_end == "failed").then_some("expired_or_canceled_card");
                    assert_eq!(why, wanted, "{dialect}: {refund}");
                    break;
                }
                assert!(Instant::now() < until, "{dialect}: {refund}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        ids.remove(1)
    }

    /// A dispute from the card that opens one to the evidence that wins it.
    async fn dispute(&self, dialect: &str) {
        let paid = self.pay(2500, "4000000000000259", &[]).await;
        let id = paid["id"].as_str().expect("an id");
        let until = Instant::now() + Duration::from_secs(30);
        let dispute = loop {
            let path = format!("/v1/disputes?payment_intent={id}");
            let list = self.payments.get(&path).await.json;
            if let Some(dispute) = list["data"].get(0) {
                break dispute.clone();
            }
            assert!(Instant::now() < until, "{dialect}: no dispute");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert_eq!(
            (&dispute["status"], &dispute["reason"], &dispute["amount"]),
            (&json!("needs_response"), &json!("fraudulent"), &json!(2500))
        );
        let refused = self.post("/v1/refunds", &[("payment_intent", id)]).await;
        assert_eq!(refused["error"]["code"], "charge_disputed");
        let path = format!("/v1/disputes/{}", dispute["id"].as_str().expect("an id"));
        let won = self
            .post(
                &path,
                &[("evidence[uncategorized_text]", "winning_evidence")],
            )
            .await;
        assert_eq!(won["status"], "won", "{dialect}: {won}");
        let moved: Vec<&Value> = won["balance_transactions"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| &one["amount"])
            .collect();
        assert_eq!(moved, [&json!(-2500), &json!(2500)]);
        let closed = self.post(&format!("{path}/close"), &[]).await;
        assert!(closed["error"]["message"].is_string(), "{closed}");
    }

    async fn last_event(&self) -> String {
        let list = self.payments.get("/v1/events?limit=1").await.json;
        list["data"][0]["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    async fn told_since(&self, since: &str) -> Vec<Value> {
        let mut told = vec![];
        let mut after = String::new();
        loop {
            let list = self
                .payments
                .get(&format!("/v1/events?limit=100{after}"))
                .await
                .json;
            for event in list["data"].as_array().expect("a list") {
                if event["id"] == since {
                    return sorted(told);
                }
                told.push(shape(event));
            }
            if list["has_more"] != true {
                return sorted(told);
            }
            let last = list["data"].as_array().and_then(|all| all.last());
            let last = last.and_then(|one| one["id"].as_str()).expect("an id");
            after = format!("&starting_after={last}");
        }
    }

    /// Every fault at every operation of one acquirer. Amounts are unique, so that the books can be compared.
    async fn faults(&self, dialect: &str) {
        let kinds = [
            "drop_before_commit",
            "drop_after_commit",
            "reset_mid_body",
            "error_after_commit",
            "duplicate_reply",
            "outage",
            "late_approval",
            "brown_out",
        ];
        let base = 10_000
            * (1 + ACQUIRERS
                .iter()
                .position(|(_, d)| *d == dialect)
                .unwrap_or(0) as i64);
        for (n, kind) in kinds.into_iter().enumerate() {
            let amount = base + 100 * n as i64;
            for (m, operation) in ["payment", "capture", "void", "refund"]
                .into_iter()
                .enumerate()
            {
                let amount = amount + m as i64;
                if operation == "payment" {
                    self.fault(kind, operation).await;
                }
                let manual: &[(&str, &str)] = match operation {
                    "capture" | "void" => &[("capture_method", "manual")],
                    _ => &[],
                };
                let answer = self.pay(amount, "4242424242424242", manual).await;
                let paid = if answer["error"].is_object() {
                    &answer["error"]["payment_intent"]
                } else {
                    &answer
                };
                let id = paid["id"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{dialect} {kind} {operation}: {answer}"))
                    .to_owned();
                self.settled(&id).await;
                if operation == "payment" {
                    continue;
                }
                self.fault(kind, operation).await;
                let path = format!("/v1/payment_intents/{id}");
                match operation {
                    "capture" => drop(self.post(&format!("{path}/capture"), &[]).await),
                    "void" => drop(self.post(&format!("{path}/cancel"), &[]).await),
                    _ => drop(self.post("/v1/refunds", &[("payment_intent", &id)]).await),
                }
                let intent = self.settled(&id).await;
                let expected = match operation {
                    "void" => "canceled",
                    _ => "succeeded",
                };
                assert_eq!(intent["status"], expected, "{dialect} {kind} {operation}");
            }
            self.bank.delete("/admin/faults").await;
        }
    }

    async fn fault(&self, kind: &str, operation: &str) {
        let share = if kind == "brown_out" { 100 } else { 50 };
        let fault = json!({ "kind": kind, "operation": operation, "ms": 1500, "share": share });
        assert_eq!(self.bank.post("/admin/faults", &fault).await.status, 201);
    }

    /// What the acquirers hold or took, payment by payment, is what payments says.
    async fn books_agree(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let (ours, theirs) = (self.ours().await, self.theirs().await);
            if ours == theirs {
                return;
            }
            let differ: Vec<_> = ours.iter().filter(|one| !theirs.contains(one)).collect();
            let other: Vec<_> = theirs.iter().filter(|one| !ours.contains(one)).collect();
            assert!(Instant::now() < until, "ours {differ:?}, theirs {other:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Amount, taken, given back, of every intent that has anything at an acquirer.
    async fn ours(&self) -> Vec<(i64, i64, i64)> {
        let mut all = vec![];
        let mut after = String::new();
        loop {
            let path = format!("/v1/charges?limit=100{after}");
            let list = self.payments.get(&path).await.json;
            let data = list["data"].as_array().expect("a list").clone();
            for charge in &data {
                let of = |name: &str| charge[name].as_i64().expect("an amount");
                let canceled = charge["captured"] == false && self.is_canceled(charge).await;
                if charge["status"] == "succeeded" && !canceled {
                    all.push((of("amount"), of("amount_captured"), of("amount_refunded")));
                }
            }
            if list["has_more"] != true {
                all.sort_unstable();
                return all;
            }
            let last = data.last().and_then(|one| one["id"].as_str());
            after = format!("&starting_after={}", last.expect("an id"));
        }
    }

    async fn is_canceled(&self, charge: &Value) -> bool {
        let intent = charge["payment_intent"].as_str().expect("an intent");
        let path = format!("/v1/payment_intents/{intent}");
        self.payments.get(&path).await.json["status"] == "canceled"
    }

    async fn theirs(&self) -> Vec<(i64, i64, i64)> {
        let list = self.bank.get("/admin/payments").await.json;
        let payments = list["payments"].as_array().expect("a list").iter();
        let held =
            payments.filter(|one| one["status"] == "captured" || one["status"] == "authorised");
        let mut all: Vec<_> = held
            .map(|one| {
                let of = |name: &str| one[name].as_i64().expect("an amount");
                (of("authorised"), of("captured"), of("refunded"))
            })
            .collect();
        all.sort_unstable();
        all
    }

    /// Settlement files come, every line of them is known, and the money is there when the file says.
    async fn a_day_later(&self, returned: &[String]) {
        std::fs::write(self.demo.data_dir.join("clock"), "86400").expect("written");
        let until = Instant::now() + Duration::from_secs(60);
        let today = loop {
            let rows = self.settled_balance().await;
            if rows.iter().all(|row| row["settled"] == true) && !rows.is_empty() {
                break rows;
            }
            assert!(Instant::now() < until, "not settled: {rows:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        assert!(today.len() > 30, "{}", today.len());
        // A refund that came back is in the file twice: as it went and as it came.
        for id in returned {
            let path = format!("/v1/balance_transactions?source={id}");
            let list = self.payments.get(&path).await.json;
            let rows = list["data"].as_array().expect("a list");
            let settled = rows
                .iter()
                .filter(|row| row["available_on"].as_i64().expect("a time") % 86_400 == 0);
            assert_eq!(settled.count(), 2, "{list}");
        }
    }

    /// What nobody captures, each acquirer lets go of after a week, and says so.
    async fn authorisations_expire(&self) {
        let mut held = vec![];
        for (name, dialect) in ACQUIRERS {
            self.only(name).await;
            let manual = [("capture_method", "manual")];
            let intent = self.pay(4000, "4242424242424242", &manual).await;
            assert_eq!(intent["status"], "requires_capture", "{dialect}: {intent}");
            held.push((dialect, intent["id"].as_str().expect("an id").to_owned()));
        }
        std::fs::write(self.demo.data_dir.join("clock"), "700000").expect("written");
        let until = Instant::now() + Duration::from_secs(90);
        for (dialect, id) in held {
            loop {
                let path = format!("/v1/payment_intents/{id}");
                let intent = self.payments.get(&path).await.json;
                if intent["status"] == "canceled" {
                    assert_eq!(intent["cancellation_reason"], "automatic", "{dialect}");
                    break;
                }
                assert!(Instant::now() < until, "{dialect}: {intent}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    // The charges' balance transactions: settled ones are there at midnight of the file's day.
    async fn settled_balance(&self) -> Vec<Value> {
        let list = self
            .payments
            .get("/v1/balance_transactions?limit=100&type=charge")
            .await
            .json;
        let rows = list["data"].as_array().expect("a list").iter();
        rows.map(|row| {
            let available = row["available_on"].as_i64().expect("a time");
            json!({ "id": row["id"], "settled": available % 86_400 == 0 })
        })
        .collect()
    }
}

/// Events of the same millisecond come in any order.
fn sorted(mut told: Vec<Value>) -> Vec<Value> {
    told.sort_by_key(Value::to_string);
    told
}

/// An event without what differs from one telling to the next.
fn shape(event: &Value) -> Value {
    let object = &event["data"]["object"];
    let of = |name: &str| object.get(name).cloned().unwrap_or(Value::Null);
    let error = &object["last_payment_error"];
    json!({
        "type": event["type"],
        "object": of("object"),
        "status": of("status"),
        "amount": of("amount"),
        "captured": of("amount_captured"),
        "refunded": of("amount_refunded"),
        "failure": of("failure_code"),
        "decline_code": error["decline_code"],
        "network_decline_code": error["network_decline_code"],
        "checks": object["payment_method_details"]["card"]["checks"],
        "outcome": object["outcome"],
        "reason": of("reason"),
    })
}
