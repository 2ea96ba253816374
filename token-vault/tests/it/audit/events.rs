//! Attacks on single events: edited, deleted, moved to another chain, unlinked.

use crate::vault::on_each_store;

use super::{longest, one_long_chain, sql, verified};

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_event_is_found() {
    on_each_store(|vault| async move {
        one_long_chain(&vault).await;
        let event = longest(&vault).await.remove(3);
        for (column, value) in [
            ("outcome", "'nothing'"),
            ("at", "1"),
            ("actor", "'somebody'"),
            ("times", "2"),
        ] {
            let before = format!(
                "(select {column} from audit_events where id = '{}')",
                event.id
            );
            let text: String = format!(
                "update audit_events set {column} = {value} where id = '{}'",
                event.id
            );
            let saved = vault
                .app
                .store
                .read({
                    let before = format!("select cast({before} as text)");
                    move |tx| tx.first(&before, &[])?.unwrap().get::<String>(0)
                })
                .await
                .unwrap();
            sql(&vault, text).await;
            let report = verified(&vault, &[]).await;
            assert_eq!(report.findings.len(), 1, "{report:?}");
            assert!(
                report.findings[0].contains(&event.id) && report.findings[0].contains("was edited"),
                "{report:?}"
            );
            let value = if matches!(column, "at" | "times") {
                saved
            } else {
                format!("'{saved}'")
            };
            sql(
                &vault,
                format!(
                    "update audit_events set {column} = {value} where id = '{}'",
                    event.id
                ),
            )
            .await;
            assert!(verified(&vault, &[]).await.holds());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_event_is_found() {
    on_each_store(|vault| async move {
        one_long_chain(&vault).await;
        let event = longest(&vault).await.remove(3);
        sql(
            &vault,
            format!("delete from audit_events where id = '{}'", event.id),
        )
        .await;
        let report = verified(&vault, &[]).await;
        assert_eq!(report.findings.len(), 1, "{report:?}");
        let says = format!("chain {}: events 4 to 4 were deleted", event.chain.unwrap());
        assert!(report.findings[0].starts_with(&says), "{report:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_another_chain_and_unlinked_events_are_found() {
    on_each_store(|vault| async move {
        one_long_chain(&vault).await;
        let event = longest(&vault).await.remove(2);
        sql(&vault, format!(
            "insert into audit_events (id, at, kind, merchant, actor, object, outcome, request_id, chain, seq, mac)
             select 'evt_copy', at, kind, merchant, actor, object, outcome, request_id, 'test.1.proc_other.0', 1, mac
             from audit_events where id = '{}'", event.id)).await;
        let report = verified(&vault, &[]).await;
        assert!(report.findings.iter().any(|f| f.contains("test.1.proc_other.0: event 1 (evt_copy")), "{report:?}");
        sql(&vault, "update audit_events set chain = null, seq = null where id = 'evt_copy'".into()).await;
        let report = verified(&vault, &[]).await;
        assert!(report.findings[0].starts_with("1 events"), "{report:?}");
    })
    .await;
}
