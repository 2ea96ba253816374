//! Every level of key is rotated while traffic runs: no request fails, the old keys are destroyed, a busy merchant's
//! too, and replicas that never heard of it follow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use harness::database;
use serde_json::json;
use service::Clock;
use service::listen::{self, Stop};
use store::Store;
use token_vault::audit::{Actor, AuditKey, Ledger};
use token_vault::crypto::envelope::{Holder, Place};
use token_vault::crypto::root::{Root, RootSpec, Roots};
use token_vault::forward::Destinations;
use token_vault::records::tokens::{Binding, Owner};
use token_vault::{App, inventory, private, records, rotation};
use vault_api::keys::Mode;
use vault_api::tokens::CardSummary;

use crate::vault::{Vault, app, bind, payment};

/// More than a rotation rewraps in one transaction.
const CARDS: usize = 120;

/// What the load does until it is told to stop.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    requests: AtomicUsize,
    failures: std::sync::Mutex<Vec<String>>,
}

impl Load {
    fn check(&self, what: &str, answer: &harness::http::Answer) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        if answer.status != 200 {
            let mut failures = self.failures.lock().unwrap();
            failures.push(format!("{what}: {} {}", answer.status, answer.text));
        }
    }

    /// Tokenises, exchanges, stores, pays by stored card, reads and replays, at either of two replicas.
    async fn run(&self, vault: &Vault, other: &harness::Http, cards: &[String], worker: usize) {
        let mut round = 0;
        while !self.stop.load(Ordering::SeqCst) {
            round += 1;
            let key = format!("{worker}-{round}");
            let here = if round % 2 == 0 {
                vault.alice()
            } else {
                other.clone()
            };
            let there = if round % 2 == 0 {
                other.clone()
            } else {
                vault.alice()
            };
            let card = json!({"card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "name": "Ada"}});
            let token = here.post("/v1/tokens", &card).await;
            self.check("tokenise", &token);
            let Some(token) = token.json["id"].as_str() else {
                continue;
            };
            let mut body = payment(token, 100);
            body["store"] = json!("now");
            let exchanged = there
                .with("idempotency-key", &key)
                .post("/v1/exchange", &body)
                .await;
            self.check("exchange", &exchanged);
            let replay = here
                .with("idempotency-key", &key)
                .post("/v1/exchange", &body)
                .await;
            self.check("replay", &replay);
            let mut failures = vec![];
            if replay.text != exchanged.text {
                failures.push("a replay differs".to_owned());
            }
            let fresh = exchanged.json["stored_card"]["id"]
                .as_str()
                .unwrap_or("none");
            for card in [fresh, &cards[round % cards.len()]] {
                let key = format!("{key}-{card}");
                let pay = here
                    .with("idempotency-key", &key)
                    .post("/v1/exchange", &payment(card, 50))
                    .await;
                self.check("pay by stored card", &pay);
                let again = there
                    .with("idempotency-key", &key)
                    .post("/v1/exchange", &payment(card, 50))
                    .await;
                if pay.text != again.text {
                    failures.push("a stored card's replay differs".to_owned());
                }
            }
            self.check("list", &there.get("/v1/cards?limit=100").await);
            self.failures.lock().unwrap().extend(failures);
        }
    }
}

async fn stored_cards(vault: &Vault, many: usize) -> Vec<String> {
    let mut cards = vec![];
    for _ in 0..many {
        let token = vault.token("4242424242424242").await;
        let answer = vault
            .exchange(&json!({"source": token, "for": "storage"}), "k")
            .await;
        cards.push(
            answer.json["stored_card"]["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    cards
}

/// A second process on the same database, as far as keys are concerned: its own store, root and memory.
async fn replica(vault: &Vault) -> (App, harness::Http) {
    let app = app(
        &vault.database.location,
        &vault.folder,
        Destinations::default(),
        Default::default(),
    )
    .await;
    let (listener, url) = bind().await;
    let stop = Stop::on_signal().unwrap();
    tokio::spawn(listen::serve(listener, private::router(app.clone()), stop));
    let alice = harness::Http::new(&url).bearer(vault.merchants[0].restricted.expose());
    (app, alice)
}

/// What the operator's command line opens.
pub async fn command_line(vault: &Vault) -> (Store, Root) {
    let store = Store::open(&vault.database.location, records::MIGRATIONS).unwrap();
    let roots = Roots::new(vec![], Some(vault.folder.join("roots")));
    let root = Root::open(roots, Mode::Test, &store, 0).await.unwrap();
    Ledger::attach(&store, AuditKey::of(&root), "cli_test").unwrap();
    (store, root)
}

fn operator() -> Actor {
    Actor {
        merchant: String::new(),
        id: "operator".to_owned(),
        request_id: "req_test".to_owned(),
    }
}

async fn count(store: &Store, sql: &'static str) -> i64 {
    let row = store.read(move |tx| Ok::<_, store::Error>(tx.first(sql, &[])?.unwrap()));
    row.await.unwrap().get(0).unwrap()
}

async fn under_load(vault: Arc<Vault>) {
    let merchant = vault.merchants[0].id.clone();
    let cards = Arc::new(stored_cards(&vault, CARDS).await);
    let (other_app, other) = replica(&vault).await;
    let load = Arc::new(Load::default());
    let workers: Vec<_> = (0..6)
        .map(|worker| {
            let (load, vault, other, cards) =
                (load.clone(), vault.clone(), other.clone(), cards.clone());
            tokio::spawn(async move { load.run(&vault, &other, &cards, worker).await })
        })
        .collect();

    let (store, root) = command_line(&vault).await;
    let clock = Clock::system();
    for generation in 2..=4 {
        let before = load.requests.load(Ordering::SeqCst);
        let done = rotation::tenant(&store, &root, &clock, &merchant, &operator())
            .await
            .unwrap();
        assert_eq!(
            (done.generation, done.destroyed.len()),
            (generation, 1),
            "{done:?}"
        );
        assert!(
            done.rewrapped >= CARDS as u64 && done.unreadable.is_empty(),
            "{done:?}"
        );
        // Traffic went on: this is no rotation of a quiet vault.
        while load.requests.load(Ordering::SeqCst) < before + 60 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let next = vault.folder.join("next.key");
    let line = format!(
        "file:{}\nfile:{}\n",
        vault.folder.join("root.key").display(),
        next.display()
    );
    let to: RootSpec = format!("file:{}", next.display()).parse().unwrap();
    let to = to.open(Mode::Test).await.unwrap();
    std::fs::write(vault.folder.join("roots"), line).unwrap();
    let done = rotation::root(&store, &root, &clock, to.as_ref(), &operator())
        .await
        .unwrap();
    assert_eq!(
        (done.service_secrets, done.retired.len()),
        (4, 1),
        "{done:?}"
    );
    assert!(done.tenant_keys >= 1);
    let done = rotation::tenant(&store, &root, &clock, &merchant, &operator())
        .await
        .unwrap();
    assert_eq!(done.generation, 5);
    // A merchant that comes now gets a key under the new root, from servers that were never told.
    let body = json!({"card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040}});
    let mallory = vault.mallory().post("/v1/tokens", &body).await;
    assert_eq!(mallory.status, 200, "{}", mallory.text);

    let before = load.requests.load(Ordering::SeqCst);
    while load.requests.load(Ordering::SeqCst) < before + 50 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    load.stop.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(*load.failures.lock().unwrap(), Vec::<String>::new());
    the_old_is_gone(&vault, &store, &other_app).await;
    only_the_new_root_opens(&vault, &cards).await;
}

async fn the_old_is_gone(vault: &Vault, store: &Store, other: &App) {
    assert_eq!(
        count(
            store,
            "select count(*) from tenant_keys where generation < 5 and merchant in
        (select merchant from tenant_keys where generation = 5)"
        )
        .await,
        0
    );
    assert_eq!(count(store, "select count(*) from destroyed_keys").await, 4);
    for table in [
        "select count(*) from tokens where key_id is not null and key_id not in (select id from tenant_keys)",
        "select count(*) from grants where key_id is not null and key_id not in (select id from tenant_keys)",
        "select count(*) from stored_cards where key_id is not null and key_id not in (select id from tenant_keys)",
    ] {
        assert_eq!(count(store, table).await, 0, "{table}");
    }
    // And from the memory of both replicas, at their next sweep.
    let gone = store.read(|tx| {
        let rows = tx.all("select id from destroyed_keys", &[])?;
        rows.iter()
            .map(|row| row.get(0))
            .collect::<Result<Vec<String>, store::Error>>()
    });
    let gone = gone.await.unwrap();
    for app in [&vault.app, other] {
        let held = |app: &App| {
            gone.iter()
                .filter(|id| app.tenants.by_id(id).is_ok())
                .count()
        };
        let parts = app.clone();
        assert!(held(app) > 0, "this process used the old keys");
        app.store
            .read(move |tx| parts.tenants.forget_destroyed(tx))
            .await
            .unwrap();
        assert_eq!(held(app), 0);
    }
}

async fn only_the_new_root_opens(vault: &Vault, cards: &[String]) {
    let old = Roots::file(&vault.folder.join("root.key"));
    let store = Store::open(&vault.database.location, records::MIGRATIONS).unwrap();
    let refused = Root::open(old, Mode::Test, &store, 0).await.err().unwrap();
    assert!(refused.to_string().contains("was not given"), "{refused}");
    // A fresh process with the new root alone pays by a card that was stored under the first key.
    let line = format!("file:{}\n", vault.folder.join("next.key").display());
    std::fs::write(vault.folder.join("roots"), line).unwrap();
    let (_app, alice) = replica(vault).await;
    let pay = alice
        .with("idempotency-key", "last")
        .post("/v1/exchange", &payment(&cards[0], 1))
        .await;
    assert_eq!(pay.status, 200, "{}", pay.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_levels_rotate_under_load_and_nothing_fails() {
    for database in database::fresh() {
        under_load(Arc::new(Vault::start(database, None).await)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_something_still_needs_is_kept() {
    for database in database::fresh() {
        let vault = Vault::start(database, None).await;
        let cards = stored_cards(&vault, 2).await;
        let (store, root) = command_line(&vault).await;
        let bad = cards[0].clone();
        let spoil = store.write(move |tx| {
            tx.execute(
                "update stored_cards set wrapped_key = $2 where id = $1",
                store::params![&bad, [1u8; 93]],
            )
        });
        assert_eq!(spoil.await.unwrap(), 1);
        let merchant = &vault.merchants[0].id;
        let done = rotation::tenant(&store, &root, &Clock::system(), merchant, &operator())
            .await
            .unwrap();
        assert_eq!(
            (done.destroyed.len(), &done.unreadable),
            (0, &vec![cards[0].clone()]),
            "{done:?}"
        );
        let pay = vault.exchange(&payment(&cards[1], 1), "k").await;
        assert_eq!(pay.status, 200, "{}", pay.text);
        // A merchant without cards has nothing to rotate.
        let other = &vault.merchants[1].id;
        assert!(
            rotation::tenant(&store, &root, &Clock::system(), other, &operator())
                .await
                .is_err()
        );

        let inventory = inventory::of(&store, Mode::Test, 0).await.unwrap();
        let level = |name: &str| {
            inventory["levels"]
                .as_array()
                .unwrap()
                .iter()
                .find(|l| l["level"] == name)
                .unwrap()
                .clone()
        };
        let keys = level("tenant")["keys"].clone();
        let states: Vec<_> = keys
            .as_array()
            .unwrap()
            .iter()
            .map(|key| {
                (
                    key["generation"].as_i64().unwrap(),
                    key["state"].as_str().unwrap().to_owned(),
                    key["records"]["stored_cards"].as_i64().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            states,
            [
                (1, "decrypt_only".to_owned(), 1),
                (2, "active".to_owned(), 1)
            ]
        );
        assert_eq!(level("root")["keys"][0]["provider"], "file");
        assert_eq!(level("service")["keys"].as_array().unwrap().len(), 4);
        assert_eq!(level("record")["count"], 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_first_cards_make_one_key_and_a_root_that_is_away_stops_only_new_merchants() {
    for database in database::fresh() {
        let vault = Arc::new(Vault::start(database, None).await);
        let (_app, other) = replica(&vault).await;
        let card =
            json!({"card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040}});
        let tasks: Vec<_> = (0..50)
            .map(|i| {
                let at = if i % 2 == 0 {
                    vault.alice()
                } else {
                    other.clone()
                };
                let card = card.clone();
                tokio::spawn(async move { at.post("/v1/tokens", &card).await.status })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 200);
        }
        let store = &vault.app.store;
        assert_eq!(count(store, "select count(*) from tenant_keys").await, 1);
        assert_eq!(
            count(store, "select count(*) from service_secrets").await,
            4
        );

        // Another root became active and this process was not given it.
        let away = store.write(|tx| tx.execute("update roots set id = 'root_elsewhere'", &[]));
        assert_eq!(away.await.unwrap(), 1);
        assert_eq!(vault.alice().post("/v1/tokens", &card).await.status, 200);
        let stopped = vault.mallory().post("/v1/tokens", &card).await;
        assert_eq!(
            (stopped.status, stopped.json["code"].as_str()),
            (503, Some("unavailable"))
        );
    }
}

/// A transaction that read the active key before the switch and seals under it after.
fn slow_tokenise(vault: &Vault) -> (vault_api::Token, impl Future<Output = ()> + use<>) {
    let (app, merchant) = (vault.app.clone(), vault.merchants[0].id.clone());
    let token = vault_api::Token::random();
    let (made, now) = (token.clone(), vault.app.clock.now());
    let work = async move {
        let (parts, store) = (app.clone(), app.store.clone());
        let insert = store.write(move |tx| {
            let key = parts.tenants.active(tx, &parts.root, &merchant)?;
            std::thread::sleep(Duration::from_millis(800));
            let place = Place {
                kind: "token",
                record: made.public(),
                expires_at: now + records::tokens::LIFE,
            };
            let number = pan::Pan::parse("4242424242424242").unwrap();
            let sealed = key.seal_card(place, &number, &Holder::default());
            let owner = Owner {
                merchant: &merchant,
                mode: "test",
            };
            let card = CardSummary {
                brand: "visa".into(),
                last4: "4242".into(),
                exp_month: 12,
                exp_year: 2040,
                networks: None,
            };
            let (macs, binding) = (parts.root.macs(), Binding::default());
            records::tokens::insert(
                tx,
                macs,
                owner,
                &made,
                Some((&card, &sealed)),
                &binding,
                now,
            )
        });
        insert.await.unwrap();
    };
    (token, work)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_transaction_that_is_slow_to_seal_loses_nothing() {
    for database in database::fresh() {
        let vault = Vault::start(database, None).await;
        vault.token("4242424242424242").await;
        let (store, root) = command_line(&vault).await;
        let (token, work) = slow_tokenise(&vault);
        let slow = tokio::spawn(work);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let merchant = &vault.merchants[0].id;
        let done = rotation::tenant(&store, &root, &Clock::system(), merchant, &operator())
            .await
            .unwrap();
        slow.await.unwrap();
        assert_eq!((done.rewrapped, done.destroyed.len()), (2, 1), "{done:?}");
        let answer = vault.exchange(&payment(token.expose(), 1), "k").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}
