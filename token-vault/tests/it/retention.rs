//! Nothing overdue stays: not in rows, not in the database's files, and the report says so or says what is left.

use std::time::Duration;

use store::Location;
use token_vault::Error;
use token_vault::records::{self, retention};

use crate::vault::{Vault, on_each_store, payment};

async fn report(vault: &Vault) -> retention::Report {
    let now = vault.app.clock.now();
    vault
        .app
        .store
        .read(move |tx| retention::report(tx, now))
        .await
        .unwrap()
}

async fn sweep(vault: &Vault) -> u64 {
    let now = vault.app.clock.now();
    vault
        .app
        .store
        .write(move |tx| records::sweep(tx, now))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_names_what_is_overdue_and_the_sweep_empties_it() {
    on_each_store(|vault| async move {
        let (_, token) = (
            vault.token("4242424242424242").await,
            vault.token("4242424242424242").await,
        );
        let mut body = payment(&token, 100);
        body["store"] = "on_success".into();
        assert_eq!(vault.exchange(&body, "k").await.status, 200);
        let young = report(&vault).await;
        assert_eq!((young.overdue, young.cvv_epochs.len()), (0, 1), "{young:?}");
        let rows = |report: &retention::Report, table: &str| {
            let found = report.tables.iter().find(|t| t.table == table).unwrap();
            (found.rows, found.overdue)
        };
        assert_eq!(
            (rows(&young, "tokens"), rows(&young, "grants")),
            ((1, 0), (1, 0))
        );
        assert_eq!(
            (rows(&young, "stored_cards"), rows(&young, "cvvs")),
            ((1, 0), (2, 0))
        );

        vault.advance(3600).await;
        let old = report(&vault).await;
        assert_eq!(
            (rows(&old, "tokens"), rows(&old, "grants")),
            ((1, 1), (1, 1))
        );
        assert_eq!(
            (rows(&old, "stored_cards"), rows(&old, "cvvs")),
            ((1, 1), (2, 2))
        );
        assert_eq!(old.overdue, 5, "{old:?}");
        assert!(old.cvv_epochs[0].age >= 3600);

        assert!(sweep(&vault).await >= 5);
        let swept = report(&vault).await;
        assert_eq!((swept.overdue, swept.cvv_epochs.len()), (0, 0), "{swept:?}");
        for table in ["tokens", "grants", "stored_cards", "cvvs"] {
            assert_eq!(rows(&swept, table), (0, 0), "{table}");
        }
    })
    .await;
}

/// The sealed bytes of a token are in the files while it lives, and in none of them after the sweep.
#[tokio::test(flavor = "multi_thread")]
async fn emptied_data_leaves_the_files_of_sqlite() {
    let database = harness::database::sqlite();
    let Location::Sqlite(path) = database.location.clone() else {
        panic!("SQLite has a path");
    };
    let vault = Vault::start(database, None).await;
    vault.token("4242424242424242").await;
    let sealed: (Vec<u8>, Vec<u8>) = vault
        .app
        .store
        .read(|tx| {
            let row = tx.first(
                "select t.sealed_number, c.sealed from tokens t, cvvs c",
                &[],
            )?;
            let row = row.unwrap();
            Ok::<_, Error>((row.get(0)?, row.get(1)?))
        })
        .await
        .unwrap();
    let found = |needle: &[u8]| {
        ["", "-wal"].iter().any(|end| {
            let file = format!("{}{end}", path.display());
            let bytes = std::fs::read(file).unwrap_or_default();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    };
    assert!(found(&sealed.0) && found(&sealed.1), "the search can find");
    vault.advance(3600).await;
    sweep(&vault).await;
    // As the sweeper's writes do every few seconds; the log is emptied every 30.
    let mut left = true;
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sweep(&vault).await;
        left = found(&sealed.0) || found(&sealed.1);
        if !left {
            break;
        }
    }
    assert!(!left, "sealed data is still in the database or its log");
}
