//! The audit: what was done is written or not done, and every way of tampering with what was written is found.

use std::process::Command;

use harness::database;
use serde_json::json;
use store::{Location, Store, Tx, params};
use token_vault::audit::chain::{Event, link_bytes};
use token_vault::audit::checkpoint::{Checkpoint, Checkpoints};
use token_vault::audit::list::{self, Written};
use token_vault::audit::verify::{Report, verify};
use token_vault::audit::{self, Act, Actor, AuditKey, AuditKeys, Ledger, refusals, rotation};
use token_vault::{Error, records};

use crate::vault::{Vault, on_each_store, payment};

fn key(vault: &Vault) -> AuditKey {
    AuditKey::of(&vault.app.root)
}

async fn keys(vault: &Vault) -> AuditKeys {
    AuditKeys::open(&vault.app.store, &vault.app.root)
        .await
        .unwrap()
}

async fn verified(vault: &Vault, checkpoints: &[Checkpoint]) -> Report {
    let lines: Vec<String> = checkpoints
        .iter()
        .map(|checkpoint| serde_json::to_string(checkpoint).unwrap())
        .collect();
    verify(&vault.app.store, &keys(vault).await, &lines.join("\n"))
        .await
        .unwrap()
}

async fn checkpoint(vault: &Vault) -> Checkpoint {
    Checkpoints::new(None)
        .unwrap()
        .make(&vault.app)
        .await
        .unwrap()
}

async fn events(vault: &Vault) -> Vec<Written> {
    vault
        .app
        .store
        .read(|tx| list::page(tx, None, (0, ""), 10_000))
        .await
        .unwrap()
}

async fn sql(vault: &Vault, sql: String) -> u64 {
    vault
        .app
        .store
        .write(move |tx| tx.execute(&sql, &[]))
        .await
        .unwrap()
}

/// Some acts, each one an event.
async fn work(vault: &Vault) {
    for _ in 0..4 {
        let token = vault.token("4242424242424242").await;
        vault.grant(&token, 100).await;
    }
}

/// The events of the chain that has the most.
async fn longest(vault: &Vault) -> Vec<Written> {
    let mut all = events(vault).await;
    let of = |chain: &Option<String>| all.iter().filter(|e| &e.chain == chain).count();
    let chain = all
        .iter()
        .map(|event| event.chain.clone())
        .max_by_key(of)
        .unwrap();
    all.retain(|event| event.chain == chain);
    all.sort_by_key(|event| event.seq);
    all
}

/// Several events in one chain, whichever connection took the acts before.
async fn one_long_chain(vault: &Vault) {
    let actor = Actor {
        merchant: vault.merchants[0].id.clone(),
        id: "key_x".into(),
        request_id: "req_x".into(),
    };
    vault
        .app
        .store
        .write(move |tx| {
            (0..6).try_for_each(|_| audit::record(tx, &actor, Act::ReadCard, "card_x", "read", 7))
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_audit_holds() {
    on_each_store(|vault| async move {
        work(&vault).await;
        let first = checkpoint(&vault).await;
        work(&vault).await;
        let report = verified(&vault, std::slice::from_ref(&first)).await;
        assert_eq!(report.findings, Vec::<String>::new());
        assert_eq!(report.checkpoints, 1);
        assert!(first.events >= 8 && report.events >= 2 * 8, "{report:?}");
        let alice = vault.merchants[0].id.clone();
        let all = events(&vault).await;
        for kind in ["token.created", "token.exchanged"] {
            assert_eq!(
                all.iter()
                    .filter(|e| e.kind == kind && e.merchant == alice)
                    .count(),
                8
            );
        }
    })
    .await;
}

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
async fn a_cut_tail_contradicts_the_checkpoints_and_stops_the_process() {
    on_each_store(|vault| async move {
        one_long_chain(&vault).await;
        let before = checkpoint(&vault).await;
        let events = longest(&vault).await;
        let chain = events[0].chain.clone().unwrap();
        sql(
            &vault,
            format!("delete from audit_events where chain = '{chain}' and seq > 3"),
        )
        .await;
        assert!(
            verified(&vault, &[]).await.holds(),
            "a shorter chain is a chain"
        );
        let report = verified(&vault, std::slice::from_ref(&before)).await;
        assert!(
            report
                .findings
                .iter()
                .any(|f| f.contains(&format!("chain {chain} was cut after event 3"))),
            "{report:?}"
        );
        // The process itself notices: it makes no checkpoint over the gap.
        let error = Checkpoints::new(None)
            .unwrap()
            .make(&vault.app)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("was cut"), "{error}");

        // A checkpoint that was tampered with, and one that is missing.
        let mut forged = before.clone();
        forged.heads.clear();
        let report = verified(&vault, &[forged]).await;
        assert!(
            report.findings.iter().any(|f| f.contains("is not signed")),
            "{report:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_checkpoint_is_missed() {
    on_each_store(|vault| async move {
        work(&vault).await;
        let file = vault.folder.join("checkpoints.jsonl");
        let checkpoints = Checkpoints::new(Some(&file)).unwrap();
        for _ in 0..3 {
            checkpoints.make(&vault.app).await.unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let report = verify(&vault.app.store, &keys(&vault).await, &text)
            .await
            .unwrap();
        assert!(report.holds() && report.checkpoints == 3, "{report:?}");
        let cut: Vec<&str> = text
            .lines()
            .enumerate()
            .filter(|(i, _)| *i != 1)
            .map(|(_, l)| l)
            .collect();
        let report = verify(&vault.app.store, &keys(&vault).await, &cut.join("\n"))
            .await
            .unwrap();
        assert!(
            report.findings[0].starts_with("checkpoints 2 to 2 of process"),
            "{report:?}"
        );
    })
    .await;
}

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

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_it_and_exits_1() {
    for database in database::fresh() {
        let folder = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-audit"));
        let location = match &database.location {
            Location::Sqlite(path) => format!("sqlite:{}", path.display()),
            Location::Postgres(url) => url.clone(),
        };
        let run = |arguments: &[&str], root: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_token-vault"));
            command.args(arguments).args(["--database", &location]);
            command.env_remove("TOKEN_VAULT_ROOT_KEY_FILE");
            if !root.is_empty() {
                command.arg("--root-key-file").arg(folder.join(root));
            }
            let output = command.output().unwrap();
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            (output.status.code(), text)
        };
        let create = ["merchants", "create", "--name", "A"];
        let (code, text) = run(&create, "");
        assert!(
            code == Some(1) && text.contains("--root-key-file"),
            "{text}"
        );
        assert_eq!(run(&create, "root.json").0, Some(0));
        let (code, text) = run(&create, "mistyped.json");
        assert!(
            code == Some(1) && text.contains("there is no root key file"),
            "{text}"
        );
        assert_eq!(run(&create, "root.json").0, Some(0));
        let (code, text) = run(&["keys", "rotate", "audit"], "root.json");
        assert!(
            code == Some(0) && text.contains("\"generation\": 2"),
            "{text}"
        );
        assert_eq!(run(&create, "root.json").0, Some(0));
        let (code, text) = run(&["audit", "verify"], "root.json");
        assert_eq!(code, Some(0), "{text}");
        let (code, text) = run(&["audit", "list", "--json", "--since", "1h"], "");
        assert_eq!(
            (code, text.matches("merchant.created").count()),
            (Some(0), 3),
            "{text}"
        );
        assert!(
            text.contains("test.2.cli_") && text.contains("audit_key.rotated"),
            "{text}"
        );

        let store = Store::open(&database.location, records::MIGRATIONS).unwrap();
        store
            .write(|tx| {
                tx.execute(
                    "update audit_events set actor = 'nobody' where kind = 'merchant.created'",
                    &[],
                )
            })
            .await
            .unwrap();
        let (code, text) = run(&["audit", "verify"], "root.json");
        assert_eq!(code, Some(1), "{text}");
        assert!(
            text.contains("merchant.created") && text.contains("was edited"),
            "{text}"
        );
        let _ = std::fs::remove_dir_all(folder);
    }
}
