//! Fresh databases: SQLite always, PostgreSQL when `CARDSEAL_TEST_POSTGRES` names a server (`cargo xtask test` starts
//! one and sets it).

use std::path::PathBuf;

use store::Location;

/// The variable that names a PostgreSQL server, as a role that may create databases.
pub const POSTGRES: &str = "CARDSEAL_TEST_POSTGRES";

/// A database of its own; gone when dropped.
pub struct Fresh {
    /// Where it is.
    pub location: Location,
    folder: Option<PathBuf>,
    database: Option<(String, String)>,
}

/// One fresh database per store.
///
/// # Panics
/// When a database cannot be made: the test cannot go on.
#[must_use]
pub fn fresh() -> Vec<Fresh> {
    let mut all = vec![sqlite()];
    if let Ok(server) = std::env::var(POSTGRES) {
        all.push(postgres(&server));
    }
    all
}

/// A fresh SQLite file.
///
/// # Panics
/// When its folder cannot be made.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "a test without its database cannot go on"
)]
pub fn sqlite() -> Fresh {
    let folder = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-test"));
    std::fs::create_dir_all(&folder).expect("the temporary folder is made");
    Fresh {
        location: Location::Sqlite(folder.join("test.db")),
        folder: Some(folder),
        database: None,
    }
}

#[expect(
    clippy::expect_used,
    reason = "a test without its database cannot go on"
)]
fn postgres(server: &str) -> Fresh {
    let name = vault_api::ids::new_id("cardseal_test").to_lowercase();
    let sql = format!("create database {name}");
    let server = server.to_owned();
    let url = with_database(&server, &name);
    on_server(server.clone(), sql).expect("PostgreSQL makes a database");
    Fresh {
        location: Location::Postgres(url),
        folder: None,
        database: Some((server, name)),
    }
}

// The blocking client must not run inside a test's async runtime.
fn on_server(server: String, sql: String) -> Result<(), postgres::Error> {
    let work = move || postgres::Client::connect(&server, postgres::NoTls)?.batch_execute(&sql);
    std::thread::spawn(work).join().unwrap_or(Ok(()))
}

/// How many sessions of a PostgreSQL database sit in an open transaction without doing anything; 0 for SQLite.
///
/// # Panics
/// When the server does not answer.
#[must_use]
#[expect(clippy::expect_used, reason = "a test that cannot look cannot pass")]
pub fn idle_in_transaction(location: &Location) -> i64 {
    let Location::Postgres(url) = location else {
        return 0;
    };
    let url = url.clone();
    let look = move || {
        let sql = "select count(*) from pg_stat_activity
                   where datname = current_database() and state like 'idle in transaction%'";
        let row = postgres::Client::connect(&url, postgres::NoTls)?.query_one(sql, &[])?;
        row.try_get(0)
    };
    let looked: Result<i64, postgres::Error> =
        std::thread::spawn(look).join().expect("the look-up ends");
    looked.expect("PostgreSQL answers")
}

/// How often a PostgreSQL server has synced its write-ahead log.
///
/// # Errors
/// When the server does not answer.
pub fn wal_syncs(url: &str) -> anyhow::Result<i64> {
    let url = url.to_owned();
    let look = move || {
        let mut client = postgres::Client::connect(&url, postgres::NoTls)?;
        // The view lags behind by up to a second unless the backends are idle.
        client.batch_execute("select pg_sleep(1.2)")?;
        client
            .query_one("select wal_sync from pg_stat_wal", &[])?
            .try_get(0)
    };
    let looked: Result<i64, postgres::Error> = std::thread::spawn(look)
        .join()
        .map_err(|_| anyhow::anyhow!("the look-up ended"))?;
    Ok(looked?)
}

fn with_database(server: &str, name: &str) -> String {
    let (base, query) = server
        .split_once('?')
        .map_or((server, None), |(base, query)| (base, Some(query)));
    let (scheme, rest) = base.split_once("://").unwrap_or(("postgres", base));
    let authority = rest.split('/').next().unwrap_or(rest);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{authority}/{name}{query}")
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
        if let Some((server, name)) = self.database.take() {
            let _ = on_server(
                server,
                format!("drop database if exists {name} with (force)"),
            );
        }
    }
}
