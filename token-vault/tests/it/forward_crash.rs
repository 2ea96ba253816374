//! A vault that is killed in the middle of a send, beside one that lives: the dead one's attempt is `unknown`, the
//! living one's is its own.

use std::sync::Arc;
use std::time::Duration;

use harness::Http;
use harness::database;
use serde_json::{Value, json};
use token_vault::Error;
use token_vault::records::processes::{self, Here};

use crate::endpoint::{self, Behaviour, Endpoint};
use crate::forward_bodies::{call, destinations, forward, grant};
use crate::forward_process::Process;
use crate::forward_registered::token_vault;
use crate::vault::Vault;

async fn arrived(endpoint: &Endpoint, count: usize) {
    for _ in 0..200 {
        let seen = endpoint.seen();
        let whole = seen.iter().filter(|r| endpoint::is_whole(r.as_bytes()));
        if whole.count() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{count} requests did not arrive");
}

async fn closed(alice: &Http, attempt: &str) -> Value {
    let answer = alice
        .post("/v1/attempts/close", &json!({ "attempt": attempt }))
        .await;
    answer.json
}

async fn sql(vault: &Vault, sql: &'static str) {
    let write = move |tx: &mut store::Tx<'_>| Ok::<_, Error>(tx.execute(sql, &[])?);
    vault.app.store.write(write).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_send_is_unknown_and_a_living_one_is_left_alone() {
    for database in database::fresh() {
        let endpoint = Endpoint::plain().await;
        let text =
            destinations(&endpoint).replace("total_ms = 3000", "total_ms = 60000\nread_ms = 20000");
        let vault = Arc::new(Vault::start(database, Some(&text)).await);
        let here = Here::new(&vault.app.process);
        let beat = move |tx: &mut store::Tx<'_>| processes::beat(tx, &here);
        vault.app.store.write(beat).await.unwrap();
        let body = json!({"card": {"number": "{{card.number}}"}});
        let (grant_1, grant_2) = (grant(&vault).await, grant(&vault).await);
        let dying = call(&grant_1, "json", "att_dying", body.clone());
        let living = call(&grant_2, "json", "att_living", body.clone());

        endpoint.behave(Behaviour::Stall);
        let process = Process::start(&vault).await;
        let (alice, asked) = (process.alice(&vault), dying.clone());
        // Its caller sees the connection break; the test's client would panic, so it gives up first.
        let call_1 = tokio::time::timeout(Duration::from_secs(2), async move {
            alice.post("/v1/forward", &asked).await
        });
        let call_1 = tokio::spawn(call_1);
        let (other, asked) = (vault.clone(), living.clone());
        let call_2 = tokio::spawn(async move { forward(&other, &asked).await });
        arrived(&endpoint, 2).await;
        assert!(call_1.await.unwrap().is_err());
        process.kill();

        // The next process finds both open: one's process is gone, the other's lives.
        let process = Process::start(&vault).await;
        let alice = process.alice(&vault);
        let unknown = json!({"attempt": "att_dying", "bytes_sent": "unknown", "failure": "interrupted", "cvc_sent": false});
        assert_eq!(closed(&alice, "att_dying").await, unknown);
        assert_eq!(
            closed(&alice, "att_living").await["code"],
            "attempt_in_flight"
        );
        // What is recorded is answered, and nothing is sent again.
        assert_eq!(alice.post("/v1/forward", &dying).await.json, unknown);
        assert_eq!(endpoint.seen().len(), 2);
        endpoint.answer(endpoint::json(r#"{"status":"ok"}"#));
        let next = alice
            .post(
                "/v1/forward",
                &call(&grant_1, "json", "att_next", body.clone()),
            )
            .await;
        assert_eq!(next.json["bytes_sent"], "all", "{}", next.text);

        // A process that is not seen for longer than the lease is taken for dead, whatever machine it is on; when it
        // comes back its caller is told what was recorded.
        sql(&vault, "update processes set host = 'elsewhere' where host = (select host from processes limit 1)").await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(
            closed(&alice, "att_living").await["code"],
            "attempt_in_flight"
        );
        sql(
            &vault,
            "update processes set seen_at = seen_at - 100 where host = 'elsewhere'",
        )
        .await;
        for _ in 0..40 {
            if closed(&alice, "att_living").await["bytes_sent"] == "unknown" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(closed(&alice, "att_living").await["bytes_sent"], "unknown");
        let told = call_2.await.unwrap();
        assert_eq!(told.json["bytes_sent"], "unknown", "{}", told.text);
        process.kill();
        // Each send and each end is in the audit, what nobody knows too.
        let ends = vault.app.store.read(|tx| {
            let sql = "select object, kind, outcome from audit_events where kind like 'forward.%' order by object, kind";
            let rows = tx.all(sql, &[])?;
            let texts = |row: &store::Row| (0..3).map(|at| row.get(at)).collect::<Result<Vec<String>, _>>();
            rows.iter().map(texts).collect::<Result<Vec<_>, store::Error>>()
        });
        let expected = [
            ["att_dying", "forward.outcome", "unknown"],
            ["att_dying", "forward.sending", "bank"],
            ["att_living", "forward.outcome", "unknown"],
            ["att_living", "forward.sending", "bank"],
            ["att_next", "forward.outcome", "all"],
            ["att_next", "forward.sending", "bank"],
        ];
        assert_eq!(ends.await.unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_stops_waits_for_its_sends() {
    for database in database::fresh() {
        let endpoint = Endpoint::plain().await;
        let vault = Vault::start(database, Some(&destinations(&endpoint))).await;
        let grant = grant(&vault).await;
        endpoint.behave(Behaviour::Stall);
        let process = Process::start(&vault).await;
        let (alice, asked) = (
            process.alice(&vault),
            call(&grant, "json", "att_last", json!({})),
        );
        let hung_up = async move { alice.post("/v1/forward", &asked).await };
        assert!(
            tokio::time::timeout(Duration::from_millis(500), hung_up)
                .await
                .is_err()
        );
        arrived(&endpoint, 1).await;
        process.stop();
        let outcome = closed(&vault.alice(), "att_last").await;
        assert_eq!(
            (&outcome["bytes_sent"], &outcome["failure"]),
            (&json!("all"), &json!("timeout")),
            "{outcome}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_vault_sees_what_is_registered() {
    for database in database::fresh() {
        let endpoint = Endpoint::plain().await;
        let vault = Vault::start(database, Some("")).await;
        let process = Process::start(&vault).await;
        let (alice, grant) = (process.alice(&vault), grant(&vault).await);
        let asked = call(&grant, "json", "att_1", json!({}));
        assert_eq!(
            alice.post("/v1/forward", &asked).await.json["code"],
            "operation_not_allowed"
        );
        let file = vault.folder.join("bank.toml");
        std::fs::write(&file, destinations(&endpoint)).unwrap();
        let added = token_vault(&vault, &["destinations", "add", file.to_str().unwrap()], "");
        assert!(added.status.success(), "{added:?}");
        let since = std::time::Instant::now();
        while alice.post("/v1/forward", &asked).await.status != 200 {
            assert!(since.elapsed() < Duration::from_secs(8), "it was not seen");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(endpoint.seen().len(), 1);
        process.kill();
    }
}
