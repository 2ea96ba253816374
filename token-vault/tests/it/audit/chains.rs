//! Attacks on whole chains: dropped, or computed anew with the key; and what an honest key change and races leave whole.

use harness::database;
use store::{Location, Store, Tx, params};
use token_vault::audit::chain::{Event, link_bytes};
use token_vault::audit::list::Written;
use token_vault::audit::{self, Act, Actor, Ledger, rotation};
use token_vault::{Error, records};

use crate::vault::{Vault, on_each_store};

use super::{checkpoint, events, key, longest, one_long_chain, sql, verified, work};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_audit_key_begins_new_chains_and_the_old_ones_verify() {
    on_each_store(|vault| async move {
        work(&vault).await;
        let before = checkpoint(&vault).await;
        let actor = Actor {
            merchant: String::new(),
            id: "operator".into(),
            request_id: "req_x".into(),
        };
        let (store, root, clock) = (&vault.app.store, &vault.app.root, &vault.app.clock);
        let rotated = rotation::rotate(store, root, clock, &actor).await.unwrap();
        assert_eq!(rotated.generation, 2);
        rotation::pick_up(&vault.app).await.unwrap();
        work(&vault).await;
        let after = checkpoint(&vault).await;
        assert_ne!(before.key, after.key);
        let all = events(&vault).await;
        for generation in ["test.1.", "test.2."] {
            let of = |e: &&Written| {
                e.chain
                    .as_deref()
                    .is_some_and(|c| c.starts_with(generation))
            };
            assert!(all.iter().filter(of).count() >= 4, "{generation}");
        }
        let report = verified(&vault, &[before, after]).await;
        assert_eq!(report.findings, Vec::<String>::new());
        // An old chain is watched over as before.
        let old = all.iter().find(|e| e.kind == "token.exchanged").unwrap();
        let edit = format!(
            "update audit_events set outcome = 'x' where id = '{}'",
            old.id
        );
        sql(&vault, edit).await;
        assert!(!verified(&vault, &[]).await.holds());
    })
    .await;
}

/// Another process on the same database: its chain names the heads of all that were there.
async fn another_process(vault: &Vault, location: &Location) -> Store {
    let store = Store::open(location, records::MIGRATIONS).unwrap();
    Ledger::attach(&store, key(vault), "proc_another").unwrap();
    let actor = Actor {
        merchant: "mer_x".into(),
        id: "key_x".into(),
        request_id: "req_x".into(),
    };
    store
        .write(move |tx| audit::record(tx, &actor, Act::ReadCard, "card_x", "read", 7))
        .await
        .unwrap();
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_process_chain_is_found() {
    for database in database::fresh() {
        let location = database.location.clone();
        let vault = Vault::start(database, None).await;
        one_long_chain(&vault).await;
        let dropped = longest(&vault).await[0].chain.clone().unwrap();
        let _other = another_process(&vault, &location).await;
        assert!(verified(&vault, &[]).await.holds());
        for table in ["audit_events", "audit_chains", "audit_named"] {
            sql(
                &vault,
                format!("delete from {table} where chain = '{dropped}'"),
            )
            .await;
        }
        let report = verified(&vault, &[]).await;
        assert!(
            report
                .findings
                .iter()
                .any(|f| f.contains(&format!("chain {dropped} was dropped"))
                    && f.contains("chain test.1.proc_another.")),
            "{report:?}"
        );
    }
}

/// What somebody with the database and the MAC key can do: another story, every link right.
async fn recompute(vault: &Vault, mut events: Vec<Written>) {
    let key = key(vault);
    events[3].actor = "somebody_else".to_owned();
    let mut before = [0; 32];
    let mut rows = vec![];
    for event in &events {
        let (chain, seq) = (event.chain.as_deref().unwrap(), event.seq.unwrap());
        let inner: Event<'_> = event.event();
        before = key.mac(&link_bytes(chain, seq, &before, &inner));
        rows.push((event.id.clone(), event.actor.clone(), before));
    }
    vault
        .app
        .store
        .write(move |tx: &mut Tx<'_>| {
            rows.iter().try_for_each(|(id, actor, mac)| {
                let sql = "update audit_events set actor = $2, mac = $3 where id = $1";
                tx.execute(sql, params![id, actor, *mac]).map(|_| ())
            })
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_computed_anew_with_the_key_contradicts_the_checkpoints() {
    on_each_store(|vault| async move {
        one_long_chain(&vault).await;
        let before = checkpoint(&vault).await;
        let events = longest(&vault).await;
        let chain = events[0].chain.clone().unwrap();
        recompute(&vault, events).await;
        assert!(
            verified(&vault, &[]).await.holds(),
            "the forger has the key"
        );
        let report = verified(&vault, &[before]).await;
        let says = format!("chain {chain} was computed anew or edited at event 7");
        assert_eq!(report.findings.len(), 1, "{report:?}");
        assert!(report.findings[0].starts_with(&says), "{report:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_stay_whole_when_transactions_race_and_fail() {
    on_each_store(|vault| async move {
        let tasks: Vec<_> = (0..120)
            .map(|i| {
                let store = vault.app.store.clone();
                tokio::spawn(async move {
                    let actor = Actor {
                        merchant: "mer_x".into(),
                        id: "key_x".into(),
                        request_id: format!("req_{i}"),
                    };
                    store
                        .write(move |tx| {
                            audit::record(tx, &actor, Act::ReadCard, "card_x", "read", 7)?;
                            if i % 3 == 0 {
                                return Err(Error::Internal("rolled back"));
                            }
                            Ok(())
                        })
                        .await
                        .is_ok()
                })
            })
            .collect();
        let mut kept = 0;
        for task in tasks {
            kept += usize::from(task.await.unwrap());
        }
        assert_eq!(kept, 80);
        let report = verified(&vault, &[checkpoint(&vault).await]).await;
        assert_eq!(report.findings, Vec::<String>::new());
        assert_eq!(
            events(&vault)
                .await
                .iter()
                .filter(|e| e.merchant == "mer_x")
                .count(),
            80
        );
    })
    .await;
}
