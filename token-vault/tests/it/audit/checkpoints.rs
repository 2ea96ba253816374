//! Attacks on the end: a tail that is cut, a checkpoint that is missing; and what the command says of them.

use std::process::Command;

use harness::database;
use store::{Location, Store};
use token_vault::audit::checkpoint::Checkpoints;
use token_vault::audit::verify::verify;
use token_vault::records;

use crate::vault::on_each_store;

use super::{checkpoint, keys, longest, one_long_chain, sql, verified, work};

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
