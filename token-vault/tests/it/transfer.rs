//! Export and import with the built program: two operators, every step once, and a file that is whole or changes nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use harness::database::{self, Fresh};
use serde_json::{Value, json};
use store::params;

use crate::forward_registered::token_vault;
use crate::vault::Vault;

const VISA: &str = "4242424242424242";
const CO_BADGED: &str = "4000002500001001";

/// Runs a command and gives its answer, or what it said on standard error.
fn run(vault: &Vault, who: &str, args: &[&str]) -> Result<Value, String> {
    let file = path(vault, &format!("{who}.secret"));
    let mut all = args.to_vec();
    let text = file.display().to_string();
    if !who.is_empty() {
        all.extend(["--operator-file", &text]);
    }
    let output = token_vault(vault, &all, "");
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn path(vault: &Vault, name: &str) -> PathBuf {
    vault.folder.join(name)
}

#[track_caller]
fn refused(answer: Result<Value, String>, why: &str) {
    let said = answer.expect_err("refused");
    assert!(said.contains(why), "{said}");
    for digits in [VISA, CO_BADGED] {
        assert!(!said.contains(digits));
    }
}

/// Adds an operator as people do: the secret stays with its owner.
fn add_operator(vault: &Vault, by: &str, name: &str) -> Value {
    let secret = path(vault, &format!("{name}.secret")).display().to_string();
    let made = run(vault, "", &["operators", "new-secret", "--out", &secret]).unwrap();
    let sha256 = made["sha256"].as_str().unwrap();
    run(
        vault,
        by,
        &["operators", "add", "--name", name, "--sha256", sha256],
    )
    .unwrap()
}

async fn vault(database: Fresh) -> Vault {
    Vault::start(database, None).await
}

async fn store_card(vault: &Vault, card: Value) -> String {
    let token = vault
        .alice()
        .post("/v1/tokens", &json!({ "card": card }))
        .await;
    assert_eq!(token.status, 200, "{}", token.text);
    let body = json!({"source": token.json["id"], "for": "storage"});
    let stored = vault.exchange(&body, "store").await;
    stored.json["stored_card"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The receiver's key, as it arrives at the vault that exports.
fn keygen(to: &Vault, from: &Vault) -> (String, String) {
    let key = run(to, "cleo", &["import", "keygen"]).unwrap();
    let file = path(from, "receiver.json");
    std::fs::write(&file, key.to_string()).unwrap();
    let fingerprint = key["fingerprint"].as_str().unwrap().to_owned();
    (file.display().to_string(), fingerprint)
}

/// A vault that exports, with Ada and Bob, and one that imports, with Cleo.
async fn pair() -> Vec<(Vault, Vault)> {
    let mut all = vec![];
    let (from, to) = (database::fresh(), database::fresh());
    // Each store to the other.
    for (from, to) in from.into_iter().zip(to.into_iter().rev()) {
        let (from, to) = (vault(from).await, vault(to).await);
        add_operator(&from, "", "ada");
        add_operator(&from, "ada", "bob");
        add_operator(&to, "", "cleo");
        all.push((from, to));
    }
    all
}

fn request(from: &Vault, key: &str) -> Value {
    let merchant = from.merchants[0].id.clone();
    let args = [
        "export",
        "request",
        "--merchant",
        &merchant,
        "--receiver",
        key,
    ];
    run(from, "ada", &args).unwrap()
}

/// Asks, approves and runs.
fn export(from: &Vault, key: &str, fingerprint: &str, out: &Path) -> Value {
    let asked = request(from, key);
    let id = asked["id"].as_str().unwrap();
    let approve = [
        "export",
        "approve",
        "--id",
        id,
        "--receiver-fingerprint",
        fingerprint,
    ];
    run(from, "bob", &approve).unwrap();
    let out = out.display().to_string();
    run(from, "ada", &["export", "run", "--id", id, "--out", &out]).unwrap()
}

fn import(to: &Vault, file: &Path, merchant: usize, report: &str) -> Result<Value, String> {
    let (file, report) = (file.display().to_string(), path(to, report));
    let merchant = to.merchants[merchant].id.clone();
    let report = report.display().to_string();
    run(
        to,
        "cleo",
        &[
            "import",
            "run",
            &file,
            "--merchant",
            &merchant,
            "--report",
            &report,
        ],
    )
}

fn lines(to: &Vault, report: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path(to, report)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn audited(vault: &Vault, object: &str) -> Vec<(String, String)> {
    let object = object.to_owned();
    let read = vault.app.store.read(move |tx| {
        let sql = "select kind, actor from audit_events where object = $1 order by at, kind";
        let rows = tx.all(sql, params![&object])?;
        rows.iter()
            .map(|row| Ok((row.get(0)?, row.get(1)?)))
            .collect::<Result<Vec<_>, store::Error>>()
    });
    read.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn cards_move_between_vaults_and_stores_once() {
    for (from, to) in pair().await {
        let mut ids = vec![];
        for n in 0..105 {
            let (number, network) = if n % 2 == 0 {
                (VISA, "visa")
            } else {
                (CO_BADGED, "cartes_bancaires")
            };
            ids.push(store_card(&from, json!({"number": number, "exp_month": 1 + n % 12, "exp_year": 2031, "cvc": "123",
                "name": "Ada Lovelace", "postal_code": "SW1A 1AA", "country": "GB", "network": network})).await);
        }
        let deleted = ids.pop().unwrap();
        from.alice().delete(&format!("/v1/cards/{deleted}")).await;
        // A card that waits for its first approval is not exported.
        let token = from.token(VISA).await;
        let mut pending = crate::vault::payment(&token, 100);
        pending["store"] = json!("on_success");
        assert_eq!(from.exchange(&pending, "pending").await.status, 200);

        let (key, fingerprint) = keygen(&to, &from);
        let file = path(&from, "cards.export");
        let done = export(&from, &key, &fingerprint, &file);
        assert_eq!((&done["cards"], &done["chunks"]), (&json!(104), &json!(2)));
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let bytes = std::fs::read(&file).unwrap();
        for secret in [VISA, CO_BADGED, "Lovelace", "SW1A"] {
            assert!(
                !bytes.windows(secret.len()).any(|w| w == secret.as_bytes()),
                "{secret}"
            );
        }

        let first = import(&to, &file, 0, "first").unwrap();
        assert_eq!(
            (&first["imported"], &first["refused"]),
            (&json!(104), &json!(0)),
            "{first}"
        );
        for line in lines(&to, "first") {
            assert_eq!(
                (&line["status"], &line["source"]),
                (&json!("imported"), &line["card"])
            );
        }
        // They are the same cards, and they pay.
        for id in [&ids[0], &ids[1], &ids[103]] {
            let there = from.alice().get(&format!("/v1/cards/{id}")).await;
            let here = to.alice().get(&format!("/v1/cards/{id}")).await;
            assert_eq!((here.status, &here.json), (200, &there.json));
            let key = vault_api::ids::new_id("k");
            let paid = to.exchange(&crate::vault::payment(id, 100), &key).await;
            assert_eq!(
                (paid.status, &paid.json["grant"]["cvc"]),
                (200, &json!(false)),
                "{}",
                paid.text
            );
        }
        // A rerun makes none twice, brings no deleted one back, and another merchant's get ids of their own.
        to.alice().delete(&format!("/v1/cards/{}", ids[0])).await;
        let again = import(&to, &file, 0, "again").unwrap();
        assert_eq!(
            (&again["imported"], &again["already"], &again["deleted"]),
            (&json!(0), &json!(103), &json!(1))
        );
        let others = import(&to, &file, 1, "others").unwrap();
        assert_eq!(others["imported"], 104);
        let mapped = lines(&to, "others");
        assert!(mapped.iter().all(|line| line["source"] != line["card"]));
        let card = mapped[5]["card"].as_str().unwrap();
        assert_eq!(
            to.mallory().get(&format!("/v1/cards/{card}")).await.status,
            200
        );
        assert_eq!(
            to.alice().get(&format!("/v1/cards/{card}")).await.status,
            404
        );
        assert_eq!(
            import(&to, &file, 1, "others again").unwrap()["already"],
            104
        );
        // A report is not written over.
        refused(import(&to, &file, 1, "others"), "cannot be made");

        let events = audited(&from, done["id"].as_str().unwrap()).await;
        let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
        for kind in [
            "export.requested",
            "export.approved",
            "export.started",
            "export.finished",
        ] {
            assert!(kinds.contains(&kind), "{kinds:?}");
        }
        let by = |kind: &str| {
            events
                .iter()
                .find(|event| event.0 == kind)
                .unwrap()
                .1
                .clone()
        };
        assert_ne!(by("export.requested"), by("export.approved"));
        assert_eq!(audited(&to, &ids[1]).await[0].0, "card.imported");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_two_operators_and_each_approval_is_for_one_file() {
    for (from, to) in pair().await {
        store_card(
            &from,
            json!({"number": VISA, "exp_month": 1, "exp_year": 2031}),
        )
        .await;
        let (key, fingerprint) = keygen(&to, &from);
        let asked = request(&from, &key);
        assert_eq!(
            (&asked["cards"], &asked["receiver_fingerprint"]),
            (&json!(1), &json!(fingerprint))
        );
        let id = asked["id"].as_str().unwrap().to_owned();
        let out = path(&from, "out").display().to_string();
        let approve = |who: &str, id: &str, fingerprint: &str| {
            run(
                &from,
                who,
                &[
                    "export",
                    "approve",
                    "--id",
                    id,
                    "--receiver-fingerprint",
                    fingerprint,
                ],
            )
        };
        let write =
            |who: &str, id: &str| run(&from, who, &["export", "run", "--id", id, "--out", &out]);

        refused(write("ada", &id), "another operator must approve it first");
        refused(approve("", &id, &fingerprint), "say who you are");
        refused(approve("ada", &id, &fingerprint), "another operator must");
        refused(
            approve("bob", &id, &"0".repeat(40)),
            "not the receiver's fingerprint",
        );
        refused(write("bob", &id), "another operator must approve it first");
        assert!(!Path::new(&out).exists() && !Path::new(&format!("{out}.part")).exists());
        approve("bob", &id, &fingerprint).unwrap();
        refused(approve("bob", &id, &fingerprint), "is approved already");

        // What was approved by SQL was not approved, whoever copies what from where.
        let other = request(&from, &key)["id"].as_str().unwrap().to_owned();
        let forged = (id.clone(), other.clone());
        let forge = from.app.store.write(move |tx| {
            let sql = "update exports set state = 'approved', approved_by = (select approved_by from exports where id = $1),
                 approved_at = 1, row_mac = (select row_mac from exports where id = $1) where id = $2";
            tx.execute(sql, params![&forged.0, &forged.1])
        });
        assert_eq!(forge.await.unwrap(), 1);
        refused(write("ada", &other), "could not be opened");
        let widen = id.clone();
        let clear = other.clone();
        let forge = from.app.store.write(move |tx| {
            tx.execute("delete from exports where id = $1", params![&clear])?;
            tx.execute(
                "update exports set cards = 1000000 where id = $1",
                params![&widen],
            )
        });
        assert_eq!(forge.await.unwrap(), 1);
        refused(write("ada", &id), "could not be opened");
        let narrow = id.clone();
        let back = from.app.store.write(move |tx| {
            tx.execute(
                "update exports set cards = 1 where id = $1",
                params![&narrow],
            )
        });
        assert_eq!(back.await.unwrap(), 1);

        write("ada", &id).unwrap();
        std::fs::remove_file(&out).unwrap();
        refused(write("ada", &id), "good for one file");
        // A request ends; its approval with it.
        let merchant = from.merchants[0].id.clone();
        let args = [
            "export",
            "request",
            "--merchant",
            &merchant,
            "--receiver",
            &key,
            "--valid",
            "1s",
        ];
        let late = run(&from, "ada", &args).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        refused(approve("bob", &late, &fingerprint), "has expired");
        // Cards that came after the request are not in its file.
        let asked = request(&from, &key);
        let id = asked["id"].as_str().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        store_card(
            &from,
            json!({"number": VISA, "exp_month": 1, "exp_year": 2031}),
        )
        .await;
        approve("bob", id, &fingerprint).unwrap();
        assert_eq!(write("bob", id).unwrap()["cards"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_added_by_operators() {
    for (from, _) in pair().await {
        let secret = path(&from, "eve.secret").display().to_string();
        let made = run(&from, "", &["operators", "new-secret", "--out", &secret]).unwrap();
        let sha256 = made["sha256"].as_str().unwrap().to_owned();
        let add = ["operators", "add", "--name", "eve", "--sha256", &sha256];
        refused(run(&from, "", &add), "say who you are");
        refused(run(&from, "eve", &add), "no operator's");
        // Nor by SQL.
        let bytes: Vec<u8> = (0..64)
            .step_by(2)
            .map(|at| u8::from_str_radix(&sha256[at..at + 2], 16).unwrap())
            .collect();
        let forge = from.app.store.write(move |tx| {
            let sql = "insert into operators (id, merchant, mode, name, secret_hash, created_at, row_mac)
                 select 'op_eve', '', mode, 'eve', $1, created_at, row_mac from operators where name = 'ada'";
            tx.execute(sql, params![&bytes])
        });
        assert_eq!(forge.await.unwrap(), 1);
        refused(run(&from, "eve", &add), "could not be opened");
        let clear = from
            .app
            .store
            .write(|tx| tx.execute("delete from operators where id = 'op_eve'", &[]));
        assert_eq!(clear.await.unwrap(), 1);
        // Who was ended does nothing any more, and a file that others may read is no secret.
        let listed = run(&from, "", &["operators", "list"]);
        let listed = listed.unwrap_or_default();
        let bob = listed
            .as_array()
            .unwrap()
            .iter()
            .find(|o| o["name"] == "bob")
            .unwrap();
        run(
            &from,
            "ada",
            &["operators", "end", "--id", bob["id"].as_str().unwrap()],
        )
        .unwrap();
        refused(run(&from, "bob", &add), "one who was ended");
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(path(&from, "ada.secret"), open).unwrap();
        refused(run(&from, "ada", &add), "others may read it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_whole_changes_nothing() {
    for (from, to) in pair().await {
        for _ in 0..3 {
            store_card(
                &from,
                json!({"number": VISA, "exp_month": 1, "exp_year": 2031}),
            )
            .await;
        }
        let (key, fingerprint) = keygen(&to, &from);
        let file = path(&from, "cards.export");
        export(&from, &key, &fingerprint, &file);
        let good = std::fs::read(&file).unwrap();
        let bad = path(&from, "bad.export");
        let mut tried = 0;
        let mut spoil = |bytes: &[u8]| {
            std::fs::write(&bad, bytes).unwrap();
            tried += 1;
            let said = import(&to, &bad, 0, &format!("report{tried}")).expect_err("refused");
            assert!(said.contains("Error:"), "{said}");
        };
        // The archive's own tests change each byte; here, one of each part, through the command.
        let header = 18 + 4 + u32::from_be_bytes(good[18..22].try_into().unwrap()) as usize;
        let chunk = header + 32;
        for at in [
            0,
            19,
            30,
            header - 3,
            header + 1,
            chunk + 3,
            chunk + 10,
            good.len() - 60,
            good.len() - 1,
        ] {
            let mut changed = good.clone();
            changed[at] ^= 1;
            spoil(&changed);
        }
        let first = 4 + u32::from_be_bytes(good[chunk..chunk + 4].try_into().unwrap()) as usize;
        for length in [
            0,
            10,
            header,
            chunk,
            chunk + 9,
            chunk + first,
            good.len() - 1,
        ] {
            spoil(&good[..length]);
        }
        spoil(&[&good[..], b"more"].concat());
        let doubled = [&good[..chunk + first], &good[chunk..]].concat();
        spoil(&doubled);
        let cards = to.alice().get("/v1/cards").await;
        assert_eq!(cards.json["data"], json!([]), "nothing was kept");
        assert_eq!(import(&to, &file, 0, "whole").unwrap()["imported"], 3);

        // Another receiver, a key that was changed on the way, one that was forgotten, and the other mode.
        refused(import_as(&from, "ada", &file), "none of this vault's");
        let text = std::fs::read_to_string(&key).unwrap();
        let swapped = text.replace(&fingerprint, &"0".repeat(40));
        std::fs::write(&key, &swapped).unwrap();
        let merchant = from.merchants[0].id.clone();
        let ask = [
            "export",
            "request",
            "--merchant",
            &merchant,
            "--receiver",
            &key,
        ];
        refused(run(&from, "ada", &ask), "do not agree");
        std::fs::write(&key, text.replace("\"test\"", "\"live\"")).unwrap();
        refused(run(&from, "ada", &ask), "test and live never share a card");
        let mut live = good.clone();
        let at = live.windows(6).position(|w| w == b"\"test\"").unwrap();
        live[at..at + 6].copy_from_slice(b"\"live\"");
        std::fs::write(&bad, &live).unwrap();
        refused(
            import(&to, &bad, 0, "live"),
            "test and live never share a card",
        );
        run(
            &to,
            "cleo",
            &["import", "forget-key", "--fingerprint", &fingerprint],
        )
        .unwrap();
        refused(import(&to, &file, 0, "forgotten"), "was forgotten");
    }
}

fn import_as(vault: &Vault, who: &str, file: &Path) -> Result<Value, String> {
    let (file, merchant) = (file.display().to_string(), vault.merchants[0].id.clone());
    let report = path(vault, "elsewhere").display().to_string();
    run(
        vault,
        who,
        &[
            "import",
            "run",
            &file,
            "--merchant",
            &merchant,
            "--report",
            &report,
        ],
    )
}
