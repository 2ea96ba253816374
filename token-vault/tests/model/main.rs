//! The vault against a model: random calls of many clients over HTTP to the real program, `kill -9` in between, every
//! answer compared with what may be. Reading order: [`history`], [`checker`], [`world`], [`driver`].
//!
//! `CARDSEAL_SEED` repeats a run's choices, `CARDSEAL_SOAK_SECONDS` makes it longer (`cargo xtask soak`).

#![expect(clippy::unwrap_used, reason = "a step that fails fails its test")]

mod acquirer;
mod chance;
mod checker;
mod controls;
mod driver;
mod history;
mod storm;
mod world;

use std::time::Duration;

use harness::database::{self, Fresh};
use store::Location;

use driver::Plan;

/// Short enough for every `cargo test`; a round of `cargo xtask soak` too.
const SECONDS: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn one_vault_under_kills() {
    for database in database::fresh() {
        rounds(&database, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_vaults_on_one_postgresql_are_one() {
    match on_postgres() {
        Some(database) => rounds(&database, 2).await,
        None => skipped("two vaults on one PostgreSQL"),
    }
}

fn on_postgres() -> Option<Fresh> {
    database::fresh()
        .into_iter()
        .find(|fresh| matches!(fresh.location, Location::Postgres(_)))
}

#[expect(clippy::print_stderr, reason = "what did not run is said")]
fn skipped(what: &str) {
    eprintln!(
        "SKIPPED: {what}: set {} to a PostgreSQL server",
        database::POSTGRES
    );
}

#[expect(clippy::print_stderr, reason = "the seed is how a failure is repeated")]
async fn rounds(database: &Fresh, vaults: usize) {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let seed: u64 = number("CARDSEAL_SEED").unwrap_or_else(|| {
        let text = vault_api::ids::random_base62(10);
        text.bytes().fold(0, |n: u64, b| n * 62 + u64::from(b % 62))
    });
    let plan = Plan {
        seed,
        time: Duration::from_secs(number("CARDSEAL_SOAK_SECONDS").unwrap_or(SECONDS)),
        clients: 8,
        vaults,
    };
    eprintln!("CARDSEAL_SEED={seed} {vaults} vault(s), {:?}", plan.time);
    let run = driver::run(database, plan).await;
    let wrong = checker::check(&run.history, &run.sent);
    let ok = run.history.iter().filter(|event| event.ok()).count();
    let unknown = run.history.iter().filter(|e| e.status().is_none()).count();
    let sends: u64 = run.sent.values().sum();
    eprintln!(
        "CARDSEAL_SEED={seed}: {} calls, {ok} ok, {unknown} unknown, {sends} sends, {} kills, {} violations",
        run.history.len(),
        run.kills,
        wrong.len()
    );
    for line in wrong.iter().take(10) {
        eprintln!("{line}");
    }
    assert!(
        wrong.is_empty(),
        "CARDSEAL_SEED={seed}: {} violations",
        wrong.len()
    );
    // A run in which nothing happened shows nothing.
    assert!(
        run.kills > 0 && ok > 100 && sends > 0,
        "too little happened"
    );
}
