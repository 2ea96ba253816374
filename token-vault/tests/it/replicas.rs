//! Two vault processes on one database behave as one; what only lives in memory is lost with the last of them.

use axum::routing::post;
use harness::database;
use harness::http::Http;
use serde_json::{Value, json};
use service::listen::{self, Stop};
use store::{Location, params};
use token_vault::crypto::cvv::{Epochs, SealedCvv};
use token_vault::forward::Destinations;
use token_vault::http::doors::Doors;
use token_vault::{App, Error, private, public, replicas};

use crate::forwarding::{Acquirer, authorise, body, destinations};
use crate::vault::{Vault, app, bind, payment};

/// Another process beside a vault: same database, same root key, memory of its own.
struct Replica {
    app: App,
    public: Http,
    private: Http,
}

impl Replica {
    async fn beside(vault: &Vault, location: &Location) -> Self {
        let file = vault.folder.join("destinations.toml");
        let app = app(
            location,
            &vault.folder,
            Destinations::read(&file, false).unwrap(),
            Doors::default(),
        )
        .await;
        let stop = Stop::on_signal().unwrap();
        let (public, public_url) = bind().await;
        let (private, private_url) = bind().await;
        tokio::spawn(listen::serve(
            public,
            public::router(app.clone()),
            stop.clone(),
        ));
        tokio::spawn(listen::serve(private, private::router(app.clone()), stop));
        Self {
            app,
            public: Http::new(&public_url),
            private: Http::new(&private_url).bearer(vault.merchants[0].restricted.expose()),
        }
    }

    async fn exchange(&self, token: &str, key: &str) -> harness::http::Answer {
        self.private
            .with("idempotency-key", key)
            .post("/v1/exchange", &payment(token, 100))
            .await
    }
}

async fn with_acquirer() -> Vec<(Vault, Location, Acquirer)> {
    let mut all = vec![];
    for database in database::fresh() {
        let acquirer = Acquirer::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = axum::Router::new()
            .route("/pay", post(authorise))
            .with_state(acquirer.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let location = database.location.clone();
        let vault = Vault::start(database, Some(&destinations(address))).await;
        all.push((vault, location, acquirer));
    }
    all
}

// Each sees the other, and has what the other left.
async fn meet(a: &App, b: &App) {
    for app in [a, b, a, b] {
        replicas::round(app).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_took_in_the_other_forwards_with_its_cvv() {
    for (a, location, acquirer) in with_acquirer().await {
        let b = Replica::beside(&a, &location).await;
        meet(&a.app, &b.app).await;
        let token = a.token("4242424242424242").await;
        let exchanged = b.exchange(&token, "k").await;
        assert_eq!(
            (exchanged.status, &exchanged.json["grant"]["cvc"]),
            (200, &json!(true)),
            "{}",
            exchanged.text
        );
        // Back at the first process the same key gets the same answer, and the grant forwards there.
        let again = a.exchange(&payment(&token, 100), "k").await;
        assert_eq!(again.text, exchanged.text);
        let grant = exchanged.json["grant"]["id"].as_str().unwrap();
        let sent = a
            .alice()
            .post("/v1/forward", &body(grant, "att_1", "pi_1"))
            .await;
        assert_eq!(
            (sent.status, &sent.json["cvc_sent"]),
            (200, &json!(true)),
            "{}",
            sent.text
        );
        let token = a.token("4242424242424242").await;
        let grant = a.grant(&token, 100).await;
        let sent = b
            .private
            .post("/v1/forward", &body(&grant, "att_2", "pi_2"))
            .await;
        assert_eq!(
            (sent.status, &sent.json["cvc_sent"]),
            (200, &json!(true)),
            "{}",
            sent.text
        );
        let seen: Vec<Value> = acquirer.seen.lock().unwrap().clone();
        assert!(seen.len() == 2 && seen.iter().all(|body| body["card"]["cvc"] == "123"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_sealed_to_one_process_is_opened_by_the_other() {
    for (a, location, _) in with_acquirer().await {
        let b = Replica::beside(&a, &location).await;
        meet(&a.app, &b.app).await;
        let session = a.session().await;
        let card =
            json!({"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"});
        let sealed = a.seal(&session, &card);
        let public = b.public.bearer(session["session"].as_str().unwrap());
        let answer = public.post("/v1/tokens", &sealed).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        // Seen by one is seen by all.
        assert_eq!(a.tokenise(&session, &sealed).await.status, 409);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_outlive_their_process_in_the_others_and_end_with_the_last() {
    for (a, location, _) in with_acquirer().await {
        let token = a.token("4242424242424242").await;
        let token_c = a.token("4242424242424242").await;
        let b = Replica::beside(&a, &location).await;
        meet(&a.app, &b.app).await;
        // The first process is killed: it is never asked again, and does not say good-bye.
        let gone = a.app.process.clone();
        a.app
            .store
            .write(move |tx| {
                tx.execute(
                    "update processes set seen_at = seen_at - 60 where id = $1",
                    params![&gone],
                )
            })
            .await
            .unwrap();
        let exchanged = b.exchange(&token, "k").await;
        assert_eq!(exchanged.json["grant"]["cvc"], true, "{}", exchanged.text);
        // A third that starts now has the first one's keys from the second.
        let c = Replica::beside(&a, &location).await;
        meet(&b.app, &c.app).await;
        let grant = exchanged.json["grant"]["id"].as_str().unwrap();
        let sent = c
            .private
            .post("/v1/forward", &body(grant, "att_1", "pi_1"))
            .await;
        assert_eq!(
            (sent.status, &sent.json["cvc_sent"]),
            (200, &json!(true)),
            "{}",
            sent.text
        );

        // All are killed: the card is there, the CVV is not.
        a.app
            .store
            .write(|tx| tx.execute("update processes set seen_at = seen_at - 60", &[]))
            .await
            .unwrap();
        let d = Replica::beside(&a, &location).await;
        replicas::round(&d.app).await.unwrap();
        let exchanged = d.exchange(&token_c, "k").await;
        assert_eq!(
            (exchanged.status, &exchanged.json["grant"]["cvc"]),
            (200, &json!(false)),
            "{}",
            exchanged.text
        );
        let grant = exchanged.json["grant"]["id"].as_str().unwrap();
        let sent = d
            .private
            .post("/v1/forward", &body(grant, "att_2", "pi_2"))
            .await;
        assert_eq!(sent.json["code"], "cvc_gone", "{}", sent.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_not_handed_over_yet_is_waited_for_not_lost() {
    for (a, location, _) in with_acquirer().await {
        replicas::round(&a.app).await.unwrap();
        let token = a.token("4242424242424242").await;
        let b = Replica::beside(&a, &location).await;
        replicas::round(&b.app).await.unwrap();
        let early = b.exchange(&token, "k").await;
        assert_eq!(
            (early.status, early.json["code"].as_str()),
            (503, Some("unavailable"))
        );
        meet(&a.app, &b.app).await;
        assert_eq!(b.exchange(&token, "k").await.json["grant"]["cvc"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_has_the_database_is_given_no_key() {
    for (a, location, _) in with_acquirer().await {
        let b = Replica::beside(&a, &location).await;
        meet(&a.app, &b.app).await;
        // Somebody registers a process with a key of his own, under a MAC copied from another row.
        a.app.store.write(|tx| {
            tx.execute(
                "insert into processes (id, public_key, mac, host, pid, pid_started, seen_at)
                 select 'proc_thief', public_key, mac, host, pid, pid_started, seen_at + 60 from processes limit 1", &[])
        }).await.unwrap();
        meet(&a.app, &b.app).await;
        let row = a.app.store.read(|tx| tx.first(
            "select count(*), (select count(*) from shared_keys where for_process = 'proc_thief') from shared_keys", &[],
        )).await.unwrap().unwrap();
        assert!(row.get::<i64>(0).unwrap() > 0);
        assert_eq!(row.get::<i64>(1).unwrap(), 0);
    }
}

/// What a thief takes before the epoch's end: every row, the root key, the token. After it, nothing of that opens the
/// CVV: not in a new process, and not in the ones that were there, which have destroyed their keys.
#[tokio::test(flavor = "multi_thread")]
async fn after_the_epoch_nobody_opens_a_cvv_from_a_copy() {
    for (a, location, _) in with_acquirer().await {
        let b = Replica::beside(&a, &location).await;
        meet(&a.app, &b.app).await;
        let token = a.token("4242424242424242").await;
        let secret = vault_api::Token::parse(&token).unwrap();
        let (record, now) = (secret.public().to_owned(), a.app.clock.now());
        let row = a
            .app
            .store
            .read(move |tx| token_vault::records::cvvs::find(tx, &record))
            .await
            .unwrap();
        let copy: SealedCvv = row.unwrap();
        let open = |epochs: &Epochs, now: i64| {
            epochs
                .open(
                    &copy,
                    secret.secret(),
                    secret.public(),
                    card::Brand::Visa,
                    now,
                )
                .is_ok()
        };
        assert!(
            open(&a.app.epochs, now) && open(&b.app.epochs, now),
            "while the epoch lasts it opens"
        );
        // The copy, with all that was handed over: rows and, on SQLite, the files with their log.
        let shared = copy_of_shared_keys(&a).await;
        assert!(!shared.is_empty());
        let files = copy_of_files(&location, &a);

        a.advance(token_vault::crypto::cvv::LIFE).await;
        let later = a.app.clock.now();
        a.app.epochs.destroy_old(later);
        b.app.epochs.destroy_old(later);
        for epochs in [&a.app.epochs, &b.app.epochs, &Epochs::default()] {
            assert!(
                !open(epochs, later) && !open(epochs, now),
                "turning the clock back helps nobody"
            );
        }
        // A vault of the thief's own on the copy, with the root key and the clock set back.
        std::fs::write(a.folder.join("clock"), "0").unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(120)).await;
        let copied = files.unwrap_or(location);
        let thief = Replica::beside(&a, &copied).await;
        put_back(&thief.app, shared).await;
        replicas::round(&thief.app).await.unwrap();
        assert!(
            !open(&thief.app.epochs, now),
            "the handed-over keys open in no other memory"
        );
        let exchanged = thief.exchange(&token, "thief").await;
        let gone = exchanged.status == 503 || exchanged.json["grant"]["cvc"] == false;
        assert!(gone, "{}", exchanged.text);
    }
}

type SharedKey = (String, String, i64, i64, Vec<u8>, Vec<u8>);

async fn copy_of_shared_keys(vault: &Vault) -> Vec<SharedKey> {
    let sql = "select kind, id, starts, expires_at, enc, sealed from shared_keys";
    let rows = vault
        .app
        .store
        .read(move |tx| tx.all(sql, &[]))
        .await
        .unwrap();
    rows.iter()
        .map(|row| {
            let get = |at| row.get::<i64>(at).unwrap();
            (
                row.get(0).unwrap(),
                row.get(1).unwrap(),
                get(2),
                get(3),
                row.get(4).unwrap(),
                row.get(5).unwrap(),
            )
        })
        .collect()
}

fn copy_of_files(location: &Location, vault: &Vault) -> Option<Location> {
    let Location::Sqlite(path) = location else {
        return None;
    };
    let copy = vault.folder.join("copy.db");
    for end in ["", "-wal"] {
        std::fs::copy(
            format!("{}{end}", path.display()),
            format!("{}{end}", copy.display()),
        )
        .unwrap();
    }
    Some(Location::Sqlite(copy))
}

/// The stolen parcels, addressed to the thief.
async fn put_back(app: &App, stolen: Vec<SharedKey>) {
    let process = app.process.clone();
    app.store
        .write(move |tx| {
            for (kind, id, starts, expires_at, enc, sealed) in &stolen {
                tx.execute(
                    "insert into shared_keys (kind, id, for_process, from_process, starts, expires_at, enc, sealed)
                     values ($1, $2, $3, 'x', $4, $5, $6, $7) on conflict do nothing",
                    params![kind, id, &process, *starts, *expires_at, enc, sealed],
                )?;
            }
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
}
