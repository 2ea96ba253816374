//! The store's promises, on SQLite and (when there is one) PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use harness::database;
use store::idempotency::{self, Claim};
use store::{Error, Location, Migration, Store, outbox, params};

const SCHEMA: &[Migration] = &[(
    "0001_test",
    "create table t (id INTEGER primary key, name TEXT not null, data BLOB) STRICT;",
)];

fn open_all() -> Vec<(Store, database::Fresh)> {
    let open =
        |fresh: database::Fresh| (Store::open(&fresh.location, SCHEMA).expect("opens"), fresh);
    database::fresh().into_iter().map(open).collect()
}

async fn count(store: &Store) -> i64 {
    let rows = store
        .read(|tx| tx.first("select count(*) from t", &[]))
        .await
        .expect("reads");
    rows.expect("a row").get(0).expect("a number")
}

#[tokio::test]
async fn values_come_back_as_they_went() {
    for (store, _fresh) in open_all() {
        store
            .write(|tx| {
                let sql = "insert into t (id, name, data) values ($1, $2, $3)";
                tx.execute(sql, params![i64::MAX, "ümläut", vec![0u8, 255]])?;
                // Numbered, not by appearance: $2 stands before $1.
                let sql = "insert into t (name, id, data) values ($2, $1, $3)";
                tx.execute(sql, params![1_i64, "b", None::<Vec<u8>>])
            })
            .await
            .expect("writes");
        let rows = store
            .read(|tx| tx.all("select id, name, data from t order by id", &[]))
            .await
            .expect("reads");
        assert_eq!(
            (
                rows[0].get::<i64>(0).ok(),
                rows[0].get::<Option<Vec<u8>>>(2).ok()
            ),
            (Some(1), Some(None))
        );
        assert_eq!(rows[1].get::<i64>(0).ok(), Some(i64::MAX));
        assert_eq!(rows[1].get::<String>(1).ok().as_deref(), Some("ümläut"));
        assert_eq!(rows[1].get::<[u8; 2]>(2).ok(), Some([0, 255]));
        assert!(matches!(rows[1].get::<String>(0), Err(Error::Column(0))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_fails_rolls_back_alone() {
    for (store, _fresh) in open_all() {
        let store = Arc::new(store);
        let tasks: Vec<_> = (0..100_i64)
            .map(|id| {
                let store = store.clone();
                tokio::spawn(async move {
                    store
                        .write(move |tx| {
                            tx.execute("insert into t (id, name) values ($1, 'a')", params![id])?;
                            match id % 3 {
                                0 => Err(Error::Location),
                                1 => panic!("a bug in somebody's transaction"),
                                _ => Ok(()),
                            }
                        })
                        .await
                })
            })
            .collect();
        let mut kept = 0;
        for (id, task) in tasks.into_iter().enumerate() {
            match (id % 3, task.await.expect("joins")) {
                (0, Err(Error::Location)) | (1, Err(Error::Panicked)) => {}
                (2, Ok(())) => kept += 1,
                (_, other) => panic!("{id}: {other:?}"),
            }
        }
        assert_eq!(count(&store).await, kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_leaves_no_open_transaction() {
    for (store, _fresh) in open_all() {
        for id in 0..200_i64 {
            let write = store.write(move |tx| {
                tx.execute("insert into t (id, name) values ($1, 'a')", params![id])
            });
            // Dropped before, while and after it runs.
            let _ = tokio::time::timeout(Duration::from_micros(id as u64 * 7), write).await;
        }
        // What was queued is done, and the next transaction is not stuck behind an open one.
        store
            .write(|tx| tx.execute("insert into t (id, name) values (1000, 'last')", &[]))
            .await
            .expect("writes");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(count(&store).await, 201);
    }
}

#[tokio::test]
async fn what_is_acknowledged_is_there_after_reopening() {
    for (store, fresh) in open_all() {
        store
            .write(|tx| tx.execute("insert into t (id, name) values (1, 'a')", &[]))
            .await
            .expect("writes");
        drop(store);
        let store =
            Store::open(&fresh.location, SCHEMA).expect("opens again; steps are applied once");
        assert_eq!(count(&store).await, 1);
    }
}

#[tokio::test]
async fn an_old_binary_works_on_a_new_schema() {
    for (store, fresh) in open_all() {
        drop(store);
        let newer: Vec<Migration> = SCHEMA
            .iter()
            .copied()
            .chain([("0002_more", "alter table t add column more TEXT;")])
            .collect();
        drop(Store::open(&fresh.location, &newer).expect("the new binary migrates"));
        let old = Store::open(&fresh.location, SCHEMA).expect("the old one opens");
        old.write(|tx| tx.execute("insert into t (id, name) values (1, 'a')", &[]))
            .await
            .expect("and writes");
    }
}

#[tokio::test]
async fn a_key_is_claimed_once() {
    for (store, _fresh) in open_all() {
        let claim = |key: &'static str, hash: u8, now: i64| {
            store.write(move |tx| idempotency::claim(tx, "s", key, &[hash; 32], now, now + 10))
        };
        assert_eq!(claim("k", 1, 0).await.expect("claims"), Claim::New);
        assert_eq!(claim("k", 1, 1).await.expect("claims"), Claim::Open);
        assert_eq!(claim("k", 2, 1).await.expect("claims"), Claim::Mismatch);
        store
            .write(|tx| idempotency::complete(tx, "s", "k", 201, b"body"))
            .await
            .expect("completes");
        let replay = Claim::Replay {
            status: 201,
            body: b"body".to_vec(),
        };
        assert_eq!(claim("k", 1, 2).await.expect("claims"), replay);
        assert_eq!(
            claim("k", 2, 10).await.expect("claims"),
            Claim::New,
            "it is over"
        );
        store
            .write(|tx| idempotency::release(tx, "s", "k"))
            .await
            .expect("releases");
        assert_eq!(claim("k", 3, 11).await.expect("claims"), Claim::New);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_leased_to_one_worker_at_a_time() {
    for (store, _fresh) in open_all() {
        store
            .write(|tx| {
                (0..40).try_for_each(|i| outbox::put(tx, &format!("w{i}"), "mail", "{}", i))
            })
            .await
            .expect("puts");
        let workers = (0..8).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .write(|tx| outbox::lease(tx, "mail", 5, 100, 200))
                    .await
            })
        });
        let mut ids = vec![];
        for worker in workers.collect::<Vec<_>>() {
            ids.extend(
                worker
                    .await
                    .expect("joins")
                    .expect("leases")
                    .into_iter()
                    .map(|leased| leased.id),
            );
        }
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), all), (40, 40), "each once");
        let lease =
            |now: i64| store.write(move |tx| outbox::lease(tx, "mail", 100, now, now + 100));
        assert!(lease(199).await.expect("leases").is_empty());
        store
            .write(|tx| outbox::done(tx, "w0", 150))
            .await
            .expect("done");
        store
            .write(|tx| outbox::again(tx, "w1", 500))
            .await
            .expect("again");
        let after = lease(200).await.expect("a dead worker's lease ends");
        assert_eq!(after.len(), 38);
        assert_eq!(after[0].attempts, 1);
    }
}

#[tokio::test]
async fn a_database_is_its_owners_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let fresh = database::sqlite();
    let Location::Sqlite(path) = &fresh.location else {
        panic!("SQLite")
    };
    let store = Store::open(&fresh.location, SCHEMA).expect("opens");
    store
        .write(|tx| tx.execute("insert into t (id, name) values (1, 'a')", &[]))
        .await
        .expect("writes");
    for file in [path.clone(), path.with_extension("db-wal")] {
        let mode = std::fs::metadata(&file)
            .expect("is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn locations() {
    assert_eq!(
        "sqlite:a/b.db".parse::<Location>().ok(),
        Some(Location::Sqlite("a/b.db".into()))
    );
    assert_eq!(
        "sqlite:///a/b.db".parse::<Location>().ok(),
        Some(Location::Sqlite("/a/b.db".into()))
    );
    assert!("postgres://u@h/d".parse::<Location>().is_ok());
    assert!("mysql://u@h/d".parse::<Location>().is_err());
}
