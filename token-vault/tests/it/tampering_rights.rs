//! Whoever can write to the database gives no key another's rights, and no attempt another's outcome.

use serde_json::json;
use store::params;
use token_vault::Error;
use token_vault::records::{self, keys::Limits};
use vault_api::keys::{ApiKey, Kind, Mode};

use crate::tampering::{NOBODY, Pair, send, swap_each, swap_each_but};
use crate::vault::{Vault, on_each_store, payment};

async fn key(vault: &Vault, merchant: usize, scopes: &[&str], from: &str) -> (String, ApiKey) {
    let key = ApiKey::random(Kind::Restricted, Mode::Test);
    let id = vault_api::ids::new_id("key");
    let limits = Limits {
        scopes: scopes.iter().map(ToString::to_string).collect(),
        allow_ip: vec![from.parse().unwrap()],
        ..Limits::default()
    };
    let (made, named, parts) = (key.clone(), id.clone(), vault.app.clone());
    let merchant = vault.merchants[merchant].id.clone();
    vault
        .app
        .store
        .write(move |tx| {
            let macs = parts.root.macs();
            records::keys::create_key(tx, macs, &named, &made, Some(&merchant), &limits, 0)
        })
        .await
        .unwrap();
    (id, key)
}

async fn write(vault: &Vault, sql: &'static str, id: &str) -> u64 {
    let id = id.to_owned();
    let written = vault
        .app
        .store
        .write(move |tx| tx.execute(sql, params![&id]));
    written.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_column_of_a_key_can_be_swapped() {
    on_each_store(|vault| async move {
        let (a, mine) = key(&vault, 0, &["cards:read"], "127.0.0.0/8").await;
        let (b, other) = key(&vault, 1, &["cards:read", "exchange"], "127.0.0.1/32").await;
        let pair = Pair::read(&vault, "api_keys", [&a, &b]).await;
        let caller = vault.private.bearer(mine.expose());
        let tries = swap_each(&vault, &pair, || async { caller.get("/v1/cards").await });
        assert!(tries.await > 8, "most columns can be changed");
        // Put back, both do what they did.
        assert_eq!(caller.get("/v1/cards").await.status, 200);
        let other = vault.private.bearer(other.expose());
        assert_eq!(other.get("/v1/cards").await.status, 200);

        // A key that ended is not brought back, and one without a MAC is none.
        for (seconds, sql) in [
            (
                10,
                "update api_keys set expires_at = 99999999999 where id = $1",
            ),
            (20, "update api_keys set row_mac = null where id = $1"),
        ] {
            assert_eq!(write(&vault, sql, &a).await, 1);
            // A key is looked up once a second.
            vault.advance(seconds).await;
            let refused = caller.get("/v1/cards").await;
            assert_eq!(
                (refused.status, refused.json["code"].as_str()),
                (500, Some("internal"))
            );
        }
        // Nor is a publishable key's origin.
        let publishable = vault.merchants[0].publishable.sha256_hex();
        let sql = "update api_keys set origins = 'https://evil.example' where sha256 = $1";
        assert_eq!(write(&vault, sql, &publishable).await, 1);
        let frame = format!(
            "/v1/frame/check?key={}",
            vault.merchants[0].publishable.expose()
        );
        let evil = vault.public.with("origin", "https://evil.example");
        assert_eq!(evil.get(&frame).await.status, 500);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_key_acts_for_nobody_whom_sql_names() {
    on_each_store(|vault| async move {
        let [alice, mallory] = [0, 1].map(|at| vault.merchants[at].id.clone());
        let service = vault.private.bearer(vault.service_key.expose());
        let acts_for = async |merchant: &str| {
            let caller = service.with("cardseal-merchant", merchant);
            caller.get("/v1/cards").await.status
        };
        assert_eq!(
            (acts_for(&alice).await, acts_for(&mallory).await),
            (200, 403)
        );
        let sql = "insert into service_merchants (key_id, merchant, row_mac)
             select key_id, $1, row_mac from service_merchants where key_id = 'key_svc'";
        assert_eq!(write(&vault, sql, &mallory).await, 1);
        vault.advance(10).await;
        assert_eq!(
            (acts_for(&alice).await, acts_for(&mallory).await),
            (200, 500)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_column_of_an_attempt_can_be_swapped() {
    for database in harness::database::fresh() {
        let vault = Vault::start(database, Some(NOBODY)).await;
        let mut grants = vec![];
        for key in ["ka", "kb"] {
            let token = vault.token("4242424242424242").await;
            let answer = vault.exchange(&payment(&token, 100), key).await;
            grants.push(answer.json["grant"]["id"].as_str().unwrap().to_owned());
        }
        let bodies = [send(&grants[0], "att_a"), send(&grants[1], "att_b")];
        for body in &bodies {
            let sent = vault.alice().post("/v1/forward", body).await;
            assert_eq!(sent.json["bytes_sent"], "none", "{}", sent.text);
        }
        let pair = Pair::read(&vault, "attempts", ["att_a", "att_b"]).await;
        // A row that is moved to nobody is as gone as one that is deleted: that is the audit chain's to find.
        let again = || async { vault.alice().post("/v1/forward", &bodies[0]).await };
        let tries = swap_each_but(&vault, &pair, &["merchant"], again).await;
        assert!(tries > 10, "most columns can be changed: {tries}");
        let closes = || async {
            let body = json!({"attempt": "att_a"});
            vault.alice().post("/v1/attempts/close", &body).await
        };
        assert!(swap_each_but(&vault, &pair, &["merchant"], closes).await > 10);
        let told = again().await;
        assert_eq!((told.status, &told.json["attempt"]), (200, &json!("att_a")));

        // An attempt that was under way is not closed by SQL, nor reopened.
        let sql = "update attempts set state = 'closed' where id = $1";
        assert_eq!(write(&vault, sql, "att_b").await, 1);
        assert_eq!(
            vault.alice().post("/v1/forward", &bodies[1]).await.status,
            500
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_from_before_are_vouched_for_by_an_operator() {
    on_each_store(|vault| async move {
        let caller = vault.private.bearer(vault.merchants[0].restricted.expose());
        let strip = "update api_keys set row_mac = null where id <> $1";
        assert!(write(&vault, strip, "none").await > 3);
        write(
            &vault,
            "update service_merchants set row_mac = null where key_id <> $1",
            "none",
        )
        .await;
        assert_eq!(caller.get("/v1/cards").await.status, 500);
        let parts = vault.app.clone();
        let adopted = vault.app.store.write(move |tx| {
            let macs = parts.root.macs();
            assert!(!records::keys::tampered(tx, macs, Mode::Test)?.is_empty());
            let adopted = records::keys::adopt(tx, macs, Mode::Test)?;
            assert!(records::keys::tampered(tx, macs, Mode::Test)?.is_empty());
            assert!(records::keys::adopt(tx, macs, Mode::Test)?.is_empty());
            Ok::<_, Error>(adopted)
        });
        assert!(adopted.await.unwrap().len() > 3);
        assert_eq!(caller.get("/v1/cards").await.status, 200);
        let service = vault.private.bearer(vault.service_key.expose());
        let service = service.with("cardseal-merchant", &vault.merchants[0].id);
        assert_eq!(service.get("/v1/cards").await.status, 200);
    })
    .await;
}
