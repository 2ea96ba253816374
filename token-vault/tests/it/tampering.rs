//! Whoever can write to the database still cannot turn one card into another: a value swapped between two rows, or
//! edited, gives an error or nothing, never another card's answer.

use harness::http::Answer;
use serde_json::{Value as Json, json};
use store::Value;

use crate::vault::{Vault, on_each_store, payment};

const ALICE: &str = "4242424242424242";
const OTHER: &str = "5555555555554444";

/// Columns that are emptied with the card.
const EMPTIED: [&str; 5] = [
    "key_id",
    "wrapped_key",
    "sealed_number",
    "sealed_name",
    "sealed_address",
];

/// Columns of a table, and what each is in its two rows.
pub struct Pair {
    table: &'static str,
    ids: [String; 2],
    pub columns: Vec<String>,
    pub values: [Vec<Value>; 2],
}

impl Pair {
    pub async fn read(vault: &Vault, table: &'static str, ids: [&str; 2]) -> Self {
        let columns = columns(vault, table).await;
        let mut values = vec![];
        for id in ids {
            let sql = format!("select {} from {table} where id = $1", columns.join(", "));
            let (id, many) = (id.to_owned(), columns.len());
            let row = vault.app.store.read(move |tx| {
                let row = tx.first(&sql, store::params![&id])?.unwrap();
                (0..many).map(|i| row.get::<Value>(i)).collect()
            });
            values.push(row.await.unwrap());
        }
        let ids = ids.map(str::to_owned);
        let values = values.try_into().unwrap();
        Self {
            table,
            ids,
            columns,
            values,
        }
    }

    // Whether the database took it: its own constraints refuse some.
    async fn set(&self, vault: &Vault, row: usize, column: usize, value: &Value) -> bool {
        let id = self.ids[row].clone();
        let sql = format!(
            "update {} set {} = $1 where id = $2",
            self.table, self.columns[column]
        );
        let value = value.clone();
        let set = vault.app.store.write(move |tx| {
            Ok::<_, store::Error>(tx.execute(&sql, &[value.clone(), Value::from(&id)])? == 1)
        });
        set.await.unwrap_or(false)
    }
}

async fn columns(vault: &Vault, table: &'static str) -> Vec<String> {
    let sql = if vault.app.store.is_postgres() {
        "select column_name from information_schema.columns where table_name = $1 and table_schema = 'public'"
    } else {
        "select name from pragma_table_info($1)"
    };
    let names = vault.app.store.read(move |tx| {
        let rows = tx.all(sql, store::params![table])?;
        rows.iter()
            .map(|row| row.get(0))
            .collect::<Result<Vec<String>, store::Error>>()
    });
    let names = names.await.unwrap();
    assert!(names.len() > 10, "{table} has its columns");
    names
}

/// Something else of the same type, for a column that is the same in both rows.
fn another(value: &Value, column: &str) -> Option<Value> {
    match value {
        Value::Int(n) => Some(Value::Int(n + 1)),
        Value::Text(text) if column == "mode" => {
            Some(Value::from(if text == "test" { "live" } else { "test" }))
        }
        Value::Text(text) => Some(Value::Text(format!("{text}x"))),
        Value::Blob(bytes) => Some(Value::Blob(bytes.iter().map(|b| b ^ 1).collect())),
        Value::Null => None,
    }
}

/// Swaps each column of the two rows in turn, uses the first row, and puts it back.
pub async fn swap_each<F, R>(vault: &Vault, pair: &Pair, use_it: F) -> usize
where
    F: Fn() -> R,
    R: Future<Output = Answer>,
{
    swap_each_but(vault, pair, &[], use_it).await
}

/// The same, but for some columns.
pub async fn swap_each_but<F, R>(vault: &Vault, pair: &Pair, except: &[&str], use_it: F) -> usize
where
    F: Fn() -> R,
    R: Future<Output = Answer>,
{
    let mut tried = 0;
    for (at, column) in pair.columns.iter().enumerate() {
        let [a, b] = [&pair.values[0][at], &pair.values[1][at]];
        if except.contains(&column.as_str()) {
            continue;
        }
        let taken = if column == "id" {
            swap_ids(vault, pair).await
        } else if a != b {
            pair.set(vault, 1, at, a).await | pair.set(vault, 0, at, b).await
        } else if let Some(other) = another(a, column) {
            pair.set(vault, 0, at, &other).await
        } else if EMPTIED.contains(&column.as_str()) {
            // A card that is gone from both rows: there is nothing to swap, and nothing that reads it.
            false
        } else {
            // Null in both: nothing to swap, but something to plant, of whichever type the column takes.
            pair.set(vault, 0, at, &Value::from("planted")).await
                || pair.set(vault, 0, at, &Value::from(7)).await
                || pair.set(vault, 0, at, &Value::from([7u8; 40])).await
        };
        if taken {
            let answer = use_it().await;
            assert!(
                answer.status >= 400,
                "{}.{column} was changed and the row was used all the same: {}",
                pair.table,
                answer.text
            );
            assert!(
                !answer.text.contains("\"4444\""),
                "{}.{column}: another card",
                pair.table
            );
            tried += 1;
        }
        if column == "id" {
            swap_ids(vault, pair).await;
        } else {
            for (row, value) in [(0, a), (1, b)] {
                if taken || a != b {
                    assert!(
                        pair.set(vault, row, at, value).await,
                        "{column} is put back"
                    );
                }
            }
        }
    }
    tried
}

async fn swap_ids(vault: &Vault, pair: &Pair) -> bool {
    let sql = format!("update {} set id = $1 where id = $2", pair.table);
    let [a, b] = pair.ids.clone();
    let swapped = vault.app.store.write(move |tx| {
        let mut rows = 0;
        for (from, to) in [(&b, "parked"), (&a, &b), (&"parked".to_owned(), &a)] {
            rows += tx.execute(&sql, store::params![to, from])?;
        }
        Ok::<_, store::Error>(rows)
    });
    swapped.await.unwrap() == 3
}

async fn token(vault: &Vault, number: &str, month: u8, name: Option<&str>) -> String {
    let mut card = json!({"card": {"number": number, "exp_month": month, "exp_year": 2030 + u16::from(month), "cvc": "123"}});
    if let Some(name) = name {
        card["card"]["name"] = json!(name);
        card["card"]["country"] = json!("GB");
        card["card"]["network"] = json!(if number == ALICE {
            "visa"
        } else {
            "mastercard"
        });
    }
    let answer = vault.alice().post("/v1/tokens", &card).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["id"].as_str().unwrap().to_owned()
}

fn public(id: &str) -> &str {
    let (prefix, _) = id.split_once('_').unwrap();
    &id[..prefix.len() + 1 + 16]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_column_of_a_token_can_be_swapped() {
    on_each_store(|vault| async move {
        let (a, b) = (
            token(&vault, ALICE, 3, None).await,
            token(&vault, OTHER, 4, Some("Ada")).await,
        );
        let pair = Pair::read(&vault, "tokens", [public(&a), public(&b)]).await;
        let tries = swap_each(&vault, &pair, || async {
            vault.exchange(&payment(&a, 100), "k").await
        });
        assert!(tries.await > 15, "most columns can be changed");
        // It was the swaps that failed: put back, the token works.
        let answer = vault.exchange(&payment(&a, 100), "k").await;
        assert_eq!(
            (answer.status, answer.json["card"]["last4"].as_str()),
            (200, Some("4242"))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_recorded_answer_can_be_swapped() {
    on_each_store(|vault| async move {
        let (a, b) = (
            token(&vault, ALICE, 3, None).await,
            token(&vault, OTHER, 4, None).await,
        );
        for (token, key) in [(&a, "ka"), (&b, "kb")] {
            let answer = vault.exchange(&payment(token, 100), key).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        let pair = Pair::read(&vault, "tokens", [public(&a), public(&b)]).await;
        let used = ["answer", "used_key", "used_hash"];
        for column in used {
            let at = pair.columns.iter().position(|c| c == column).unwrap();
            assert_ne!(pair.values[0][at], pair.values[1][at], "{column} differs");
        }
        let tries = swap_each(&vault, &pair, || async {
            vault.exchange(&payment(&a, 100), "ka").await
        });
        assert!(tries.await > 15);
        assert_eq!(vault.exchange(&payment(&a, 100), "ka").await.status, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_column_of_a_stored_card_can_be_swapped() {
    on_each_store(|vault| async move {
        let mut ids = vec![];
        // The first has a name and the second none; the tokens above are the other way round.
        for (number, month, name) in [(ALICE, 3, Some("Ada")), (OTHER, 4, None)] {
            let token = token(&vault, number, month, name).await;
            let body = json!({"source": token, "for": "storage"});
            let answer = vault.exchange(&body, "k").await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            ids.push(
                answer.json["stored_card"]["id"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            );
        }
        let pair = Pair::read(&vault, "stored_cards", [&ids[0], &ids[1]]).await;
        let tries = swap_each(&vault, &pair, || async {
            let key = vault_api::ids::new_id("k");
            vault.exchange(&payment(&ids[0], 100), &key).await
        });
        assert!(tries.await >= 12);
        let read = vault.alice().get(&format!("/v1/cards/{}", ids[0])).await;
        assert_eq!(
            (read.status, read.json["card"]["last4"].as_str()),
            (200, Some("4242"))
        );

        // Reading and listing look at the MAC too.
        let at = pair.columns.iter().position(|c| c == "last4").unwrap();
        assert!(pair.set(&vault, 0, at, &Value::from("4444")).await);
        for path in [format!("/v1/cards/{}", ids[0]), "/v1/cards".to_owned()] {
            let answer = vault.alice().get(&path).await;
            assert_eq!(answer.status, 500, "{}", answer.text);
        }
        assert_eq!(
            vault
                .alice()
                .delete(&format!("/v1/cards/{}", ids[0]))
                .await
                .status,
            500
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_recorded_answer_of_a_stored_card_can_be_swapped() {
    on_each_store(|vault| async move {
        for (number, key) in [(ALICE, "ka"), (OTHER, "kb")] {
            let token = token(&vault, number, 3, None).await;
            let body = json!({"source": token, "for": "storage"});
            let stored = vault.exchange(&body, "k").await;
            let card = stored.json["stored_card"]["id"].as_str().unwrap().to_owned();
            let paid = vault.exchange(&payment(&card, 100), key).await;
            let replay = vault.exchange(&payment(&card, 100), key).await;
            assert_eq!((paid.status, &replay.text), (200, &paid.text));
            if key == "kb" {
                let swap = "update idempotency set body = (select o.body from idempotency o where o.key = 'ka')
                            where key = 'kb'";
                let swapped = vault.app.store.write(move |tx| tx.execute(swap, &[]));
                assert_eq!(swapped.await.unwrap(), 1);
                let replay = vault.exchange(&payment(&card, 100), key).await;
                assert_eq!(replay.status, 500, "{}", replay.text);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_column_of_a_grant_can_be_swapped() {
    for database in harness::database::fresh() {
        // Nobody listens there, so a grant that is let through answers 200 with `none` sent, and gives the send back.
        let vault = Vault::start(database, Some(NOBODY)).await;
        let (a, b) = (
            token(&vault, ALICE, 3, None).await,
            token(&vault, OTHER, 4, Some("Ada")).await,
        );
        let mut grants = vec![];
        for (token, amount, key, intent) in [(&a, 100, "ka", "pi_a"), (&b, 900, "kb", "pi_b")] {
            let mut body = payment(token, amount);
            body["intent"] = json!(intent);
            if key == "kb" {
                body["store"] = json!("on_success");
            }
            let answer = vault.exchange(&body, key).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            grants.push(answer.json["grant"]["id"].as_str().unwrap().to_owned());
        }
        let pair = Pair::read(&vault, "grants", [public(&grants[0]), public(&grants[1])]).await;
        let tries = swap_each(&vault, &pair, || async {
            let body = send(&grants[0], &vault_api::ids::new_id("att"));
            vault.alice().post("/v1/forward", &body).await
        });
        assert!(tries.await > 15);
        let sent = vault
            .alice()
            .post("/v1/forward", &send(&grants[0], "att_last"))
            .await;
        assert_eq!(
            (sent.status, sent.json["bytes_sent"].as_str()),
            (200, Some("none")),
            "{}",
            sent.text
        );
    }
}

pub fn send(grant: &str, attempt: &str) -> Json {
    json!({
        "attempt": attempt, "grant": grant, "destination": "nobody", "operation": "authorise",
        "amount": 100, "currency": "usd", "reference": attempt,
        "body": {"card": {"number": "{{card.number}}"}}
    })
}

pub const NOBODY: &str = r#"
    [[destination]]
    name = "nobody"
    base_url = "http://127.0.0.1:9"
    local = true
    merchants = ["*"]
    [[destination.operation]]
    name = "authorise"
    kind = "authorise"
    method = "POST"
    path = "/pay"
    placeholders = { "card.number" = "/card/number" }
    amount = "/amount"
    currency = "/currency"
    reference = "/reference"
    response = ["/id", "/status"]
    approved = { pointer = "/status", values = ["captured"] }
"#;
