//! Whoever can write to the database cannot exchange keys for each other either: a security code or a wrapped key in
//! another's place opens nothing.

use serde_json::json;
use store::{Store, params};
use token_vault::forward::Destinations;
use token_vault::http::doors::Doors;

use crate::vault::{self, Vault, on_each_store, payment};

// Swaps a column of two rows; the first statement makes room where the column is unique.
async fn swap(store: &Store, table: &str, column: &str, by: &str, ids: [String; 2]) {
    let read = format!("select {column} from {table} where {by} = $1");
    let write = format!("update {table} set {column} = $1 where {by} = $2");
    let swapped = store.write(move |tx| {
        let mut values = vec![];
        for id in &ids {
            let row = tx.first(&read, params![id])?.unwrap();
            values.push(row.get::<store::Value>(0)?);
        }
        assert_ne!(values[0], values[1]);
        for (id, value) in ids.iter().zip(values.iter().rev()) {
            tx.execute(&write, &[value.clone(), id.as_str().into()])?;
        }
        Ok::<_, store::Error>(())
    });
    swapped.await.unwrap();
}

fn public(token: &str) -> String {
    token[..20].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_security_code_in_anothers_row_is_gone_not_theirs() {
    on_each_store(|vault| async move {
        let (a, b) = (
            vault.token("4242424242424242").await,
            vault.token("5555555555554444").await,
        );
        let ids = [public(&a), public(&b)];
        swap(&vault.app.store, "cvvs", "sealed", "record", ids).await;
        for token in [a, b] {
            let answer = vault.exchange(&payment(&token, 1), &token[..12]).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(answer.json["grant"]["cvc"], false, "{}", answer.text);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_merchants_wrapped_key_opens_nothing() {
    on_each_store(|vault| async move {
        let token = vault.token("4242424242424242").await;
        let card =
            json!({"card": {"number": "5555555555554444", "exp_month": 12, "exp_year": 2040}});
        assert_eq!(vault.mallory().post("/v1/tokens", &card).await.status, 200);
        let keys = vault.app.store.read(|tx| {
            let rows = tx.all("select id from tenant_keys order by merchant", &[])?;
            rows.iter()
                .map(|row| row.get(0))
                .collect::<Result<Vec<String>, store::Error>>()
        });
        let keys: [String; 2] = keys.await.unwrap().try_into().unwrap();
        swap(
            &vault.app.store,
            "tenant_keys",
            "wrapped",
            "id",
            keys.clone(),
        )
        .await;
        let refused = |status: u16| {
            let (vault, token) = (vault.clone(), token.clone());
            async move {
                // Another process: this one has the key in memory.
                let beside = Beside::of(&vault).await;
                let alice = beside.0.bearer(vault.merchants[0].restricted.expose());
                let alice = alice.with("idempotency-key", "k");
                let answer = alice.post("/v1/exchange", &payment(&token, 1)).await;
                assert_eq!(answer.status, status, "{}", answer.text);
            }
        };
        refused(500).await;
        swap(&vault.app.store, "tenant_keys", "wrapped", "id", keys).await;
        refused(200).await;
    })
    .await;
}

/// A second process on the same database.
struct Beside(harness::Http);

impl Beside {
    async fn of(vault: &Vault) -> Self {
        let location = &vault.database.location;
        let app = vault::app(
            location,
            &vault.folder,
            Destinations::default(),
            Doors::default(),
        )
        .await;
        let (listener, url) = vault::bind().await;
        let stop = service::listen::Stop::on_signal().unwrap();
        let router = token_vault::private::router(app);
        tokio::spawn(service::listen::serve(listener, router, stop));
        Self(harness::Http::new(&url))
    }
}
