//! `token-vault doctor` on the built program: each thing that is wrong is said, with what to do.

use std::path::Path;

use serde_json::Value;
use store::{Location, Store};
use token_vault::records::MIGRATIONS;

use crate::process::{
    TLS, answer_of, certificate, configuration, folder, make_root, owners_only, run,
};

#[test]
fn doctor_says_what_is_wrong_and_what_to_do() {
    let folder = folder();
    let at = folder.display().to_string();
    let destinations = folder.join("destinations.toml");
    std::fs::write(&destinations, "").unwrap();
    owners_only(&destinations);
    let more = format!(
        "{}\ndestinations = \"{at}/destinations.toml\"",
        TLS.replace("FOLDER", &at)
    );
    let config = configuration(&folder, &more);
    owners_only(&config);
    certificate(&folder, 90);
    let problems = |args: &[&str]| {
        let output = run(&folder, &[&["doctor"], args].concat());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            output.status.code(),
            Some(i32::from(report["fit"] != true)),
            "{report}"
        );
        let checks = report["checks"].as_array().unwrap().clone();
        let failed = checks.into_iter().filter(|check| check["ok"] == false);
        failed
            .map(|check| {
                format!(
                    "{}: {}",
                    check["check"].as_str().unwrap(),
                    check["problem"].as_str().unwrap()
                )
            })
            .collect::<Vec<_>>()
    };
    let has = |problems: &[String], what: &str| {
        assert!(
            problems.iter().any(|p| p.contains(what)),
            "{what} in {problems:#?}"
        )
    };
    let first = problems(&[]);
    has(&first, "root key: ");
    has(
        &first,
        "frame: cardseal-1.js is not the file that was built",
    );
    // What is wrong now is put right; nothing else was.
    make_root(&folder);
    let manifest = std::fs::read_to_string(folder.join("frame/manifest.json")).unwrap();
    let empty = "sha384-OLBgp1GsljhM2TJ+sbHjaiH9txEUvgdDTAzHv2P24donTt6/529l+9Ua0vFImLlb";
    std::fs::write(
        folder.join("frame/manifest.json"),
        manifest.replace("\"-\"", &format!("\"{empty}\"")),
    )
    .unwrap();
    for file in ["vault.db", "vault.db-wal", "vault.db-shm"] {
        if folder.join(file).exists() {
            owners_only(&folder.join(file));
        }
    }
    assert_eq!(problems(&[]), Vec::<String>::new());

    let merchant = answer_of(&folder, &["merchants", "create", "--name", "Shop"]);
    let merchant = merchant["id"].as_str().unwrap();
    answer_of(
        &folder,
        &["keys", "create", "--kind", "rk", "--merchant", merchant],
    );
    let live_root = folder.join("live.json").display().to_string();
    let live = ["keys", "create", "--mode", "live", "--merchant", merchant];
    let live = [&live[..], &["--root-key-file", &live_root]].concat();
    answer_of(
        &folder,
        &[
            &live[..],
            &["--kind", "pk", "--origin", "http://localhost:*"],
        ]
        .concat(),
    );
    answer_of(&folder, &[&live[..], &["--kind", "svc"]].concat());
    has(&problems(&[]), "(rk) has no scope");
    let in_live = problems(&["--mode", "live"]);
    has(&in_live, "takes the origin http://localhost:*");
    has(&in_live, "is bound to no client certificate");
    has(&in_live, "takes unbound sessions");
    has(&in_live, "root key: ");

    funding(&folder, merchant, &problems);

    certificate(&folder, 3);
    has(&problems(&[]), "public certificate: ");
    certificate(&folder, -1);
    has(&problems(&[]), "has expired; renew it");
    let bad = "[[destination]]\nname = \"x\"\nbase_url = \"https://*.example\"\nmerchants = [\"*\"]\noperation = []\n";
    std::fs::write(&destinations, bad).unwrap();
    has(&problems(&[]), "destinations: ");
    let unresolved = bad.replace("*.example", "nothing.invalid");
    std::fs::write(&destinations, unresolved).unwrap();
    has(&problems(&[]), "does not resolve");
    std::fs::write(&destinations, "").unwrap();
    registered_destinations(&folder, &problems);
    has(
        &problems(&["--public", "0.0.0.0:4001", "--private", "0.0.0.0:4002"]),
        "plain HTTP is served on loopback only",
    );
    std::fs::remove_dir_all(folder).unwrap();
}

// A rule about funding is one only with a table to judge by.
fn funding(folder: &Path, merchant: &str, problems: &dyn Fn(&[&str]) -> Vec<String>) {
    let (rules, table) = (folder.join("rules.toml"), folder.join("funding.csv"));
    std::fs::write(&rules, "funding = [\"credit\"]\n").unwrap();
    let (rules, table_file) = (rules.display().to_string(), table.display().to_string());
    let create = ["keys", "create", "--kind", "pk", "--merchant", merchant];
    let more = ["--origin", "https://shop.example", "--card-rules", &rules];
    let made = answer_of(folder, &[&create[..], &more].concat());
    let id = made["id"].as_str().unwrap();
    let of_key = |args: &[&str]| {
        let found = problems(args).into_iter();
        found
            .filter(|problem| problem.contains(id))
            .collect::<Vec<_>>()
    };
    let said = of_key(&[]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(&format!(
        "{id} (pk) has a rule about funding, and there is no table to judge it by, so that it takes every card; \
         give `serve` one with --funding-table"
    )));
    std::fs::write(&table, "# none yet\n").unwrap();
    let with_table = ["--funding-table", table_file.as_str()];
    assert_eq!(of_key(&with_table), said);
    std::fs::write(&table, "424242,424242,credit\n").unwrap();
    assert_eq!(of_key(&with_table), Vec::<String>::new());
    std::fs::write(&table, "424242,424242,cash\n").unwrap();
    let wrong = problems(&with_table);
    assert!(
        wrong
            .iter()
            .any(|one| one.starts_with("funding table: ") && one.contains("line 1")),
        "{wrong:?}"
    );
    answer_of(folder, &["keys", "revoke", "--id", id]);
    assert_eq!(of_key(&[]), Vec::<String>::new());
}

// What the vault would leave out when it starts.
fn registered_destinations(folder: &Path, problems: &dyn Fn(&[&str]) -> Vec<String>) {
    let bank = folder.join("bank.toml");
    let entry = "[[destination]]\nname = \"bank\"\nbase_url = \"http://localhost:9\"\nlocal = true\nmerchants = [\"*\"]\n\
        headers = { authorization = { secret = \"bank_key\" } }\noperation = []\n";
    std::fs::write(&bank, entry).unwrap();
    let of_destinations = || {
        let all = problems(&[]);
        let found = all.into_iter().find(|p| p.starts_with("destinations: "));
        found.unwrap_or_default()
    };
    let bank = bank.display().to_string();
    answer_of(folder, &["destinations", "add", &bank]);
    assert!(
        of_destinations().contains("bank_key"),
        "{}",
        of_destinations()
    );
    let key = folder.join("bank.key");
    std::fs::write(&key, "secret").unwrap();
    let key = key.display().to_string();
    answer_of(
        folder,
        &["destinations", "secret", "set", "bank_key", "--file", &key],
    );
    assert_eq!(of_destinations(), "");
    rewrite(folder, "replace(entry, 'localhost:9', 'localhost:10')");
    assert!(
        of_destinations().contains("bank is not as the operator registered it"),
        "{}",
        of_destinations()
    );
    rewrite(folder, "replace(entry, 'localhost:10', 'localhost:9')");
    assert_eq!(of_destinations(), "");
}

// By SQL, as somebody would who has only the database.
fn rewrite(folder: &Path, entry: &'static str) {
    let store = Store::open(&Location::Sqlite(folder.join("vault.db")), MIGRATIONS).unwrap();
    let sql = format!("update destinations set entry = {entry}");
    let write = store.write(move |tx| tx.execute(&sql, &[]));
    let rows = tokio::runtime::Runtime::new().unwrap().block_on(write);
    assert_eq!(rows.unwrap(), 1);
}
