//! Acts and refusals: no act without its event, no refusal without its count.

use serde_json::json;
use token_vault::audit::list::Written;
use token_vault::audit::refusals;

use crate::vault::{on_each_store, payment};

use super::{events, sql, verified};

#[tokio::test(flavor = "multi_thread")]
async fn the_act_fails_if_its_event_cannot_be_written() {
    on_each_store(|vault| async move {
        let token = vault.token("4242424242424242").await;
        sql(&vault, "alter table audit_events rename to audit_events_away".into()).await;
        let card = json!({"card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}});
        let answer = vault.alice().post("/v1/tokens", &card).await;
        assert_eq!((answer.status, answer.json["code"].as_str()), (503, Some("unavailable")));
        assert_eq!(vault.exchange(&payment(&token, 100), "k").await.status, 503);
        let rows = vault.app.store.read(|tx| {
            let row = tx.first("select (select count(*) from tokens), (select count(*) from grants), (select count(*) from cvvs)", &[])?.unwrap();
            Ok::<_, store::Error>((row.get::<i64>(0)?, row.get::<i64>(1)?, row.get::<i64>(2)?))
        }).await.unwrap();
        assert_eq!(rows, (1, 0, 1), "nothing came of either");
        sql(&vault, "alter table audit_events_away rename to audit_events".into()).await;
        // What failed left nothing behind: the same key exchanges now, and the chains hold.
        assert_eq!(vault.exchange(&payment(&token, 100), "k").await.status, 200);
        assert_eq!(verified(&vault, &[]).await.findings, Vec::<String>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_failed_logins_are_events_and_a_flood_is_counted() {
    on_each_store(|vault| async move {
        let stranger = vault.private.bearer("rk_test_nobody");
        for _ in 0..50 {
            assert_eq!(stranger.post("/v1/exchange", &json!({})).await.status, 401);
            assert_eq!(vault.alice().get("/v1/cards/card_none").await.status, 404);
        }
        let mallory = vault
            .mallory()
            .post("/v1/sessions", &json!({"key": "x"}))
            .await;
        assert_eq!(mallory.status, 403, "{}", mallory.text);
        refusals::write_all(&vault.app).await;
        // The first of each sort is written beside the answer.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let all = events(&vault).await;
        let of = |kind: &str, outcome: &str| -> Vec<Written> {
            all.iter()
                .filter(|e| e.kind == kind && e.outcome == outcome)
                .cloned()
                .collect()
        };
        let logins = of("login.failed", "unauthenticated");
        // Two minutes at most were touched: an event for the first and one for the rest of each.
        assert!((2..=4).contains(&logins.len()), "{logins:?}");
        assert_eq!(logins.iter().map(|e| e.times).sum::<i64>(), 50);
        assert_eq!(
            (logins[0].object.as_str(), logins[0].actor.as_str()),
            ("POST /v1/exchange", "127.0.0.1")
        );
        let missed = of("request.refused", "not_found");
        assert_eq!(missed.iter().map(|e| e.times).sum::<i64>(), 50);
        assert!(
            missed
                .iter()
                .all(|e| e.merchant == vault.merchants[0].id && e.object == "GET /v1/cards/{id}")
        );
        let refused = of("request.refused", "forbidden");
        assert_eq!(refused[0].merchant, vault.merchants[1].id);
        assert_eq!(
            refused[0].request_id,
            mallory.headers["request-id"].to_str().unwrap()
        );
        assert!(verified(&vault, &[]).await.holds());
    })
    .await;
}
