//! The operator's `keys` commands, run as the built program against the database of a vault that serves; fingerprints
//! and addresses of API keys.

use std::process::Command;

use harness::database;
use serde_json::{Value, json};
use service::Clock;
use store::Location;
use token_vault::records::keys::Limits;
use token_vault::{Error, audit::Actor, records, rotation};
use vault_api::keys::{ApiKey, Kind, Mode};

use crate::rotation::command_line;
use crate::vault::{Vault, on_each_store, payment};

/// Runs `token-vault` and gives its answer, or what it said on standard error.
/// Runs a command of the vault's on its database.
pub fn command(vault: &Vault, arguments: &[&str]) -> Result<Value, String> {
    let database = match &vault.database.location {
        Location::Sqlite(path) => format!("sqlite:{}", path.display()),
        Location::Postgres(url) => url.clone(),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_token-vault"));
    command
        .args(arguments)
        .env("TOKEN_VAULT_DATABASE", database)
        .env("CARDSEAL_LOG", "warn");
    if !arguments
        .iter()
        .any(|argument| argument.starts_with("--root"))
    {
        command.env("TOKEN_VAULT_ROOTS_FILE", vault.folder.join("roots"));
    }
    let output = command.output().unwrap();
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A restricted key of a merchant's with these limits.
async fn restricted(vault: &Vault, merchant: usize, scopes: &[&str], allow_ip: &[&str]) -> ApiKey {
    let key = ApiKey::random(Kind::Restricted, Mode::Test);
    let limits = Limits {
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        allow_ip: allow_ip
            .iter()
            .map(|block| block.parse().unwrap())
            .collect(),
        ..Limits::default()
    };
    let (made, merchant) = (key.clone(), vault.merchants[merchant].id.clone());
    let parts = vault.app.clone();
    let insert = vault.app.store.write(move |tx| {
        let id = vault_api::ids::new_id("key");
        records::keys::create_key(
            tx,
            parts.root.macs(),
            &id,
            &made,
            Some(&merchant),
            &limits,
            0,
        )
    });
    insert.await.unwrap();
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn api_keys_roll_with_an_overlap() {
    for database in database::fresh() {
        let vault = Vault::start(database, None).await;
        let merchant = vault.merchants[0].id.clone();
        let made = command(
            &vault,
            &[
                "keys",
                "create",
                "--kind",
                "rk",
                "--merchant",
                &merchant,
                "--scope",
                "cards:write",
                "--allow-ip",
                "127.0.0.0/8",
            ],
        );
        let made = made.unwrap();
        let (id, old) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
        let rolled = command(&vault, &["keys", "roll", "--id", id, "--overlap", "24h"]).unwrap();
        let new = rolled["key"].as_str().unwrap();
        assert_ne!(old, new);
        let card =
            json!({"card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040}});
        let status = async |key: &str| {
            vault
                .private
                .bearer(key)
                .post("/v1/tokens", &card)
                .await
                .status
        };
        assert_eq!((status(old).await, status(new).await), (200, 200));
        vault.advance(24 * 3600 - 60).await;
        assert_eq!((status(old).await, status(new).await), (200, 200));
        vault.advance(24 * 3600 + 60).await;
        assert_eq!((status(old).await, status(new).await), (401, 200));

        let listed = command(&vault, &["keys", "list"]).unwrap();
        let of = |id: &str| {
            listed
                .as_array()
                .unwrap()
                .iter()
                .find(|key| key["id"] == id)
                .unwrap()
                .clone()
        };
        let new_id = rolled["id"].as_str().unwrap();
        assert_eq!(of(new_id)["rolled_from"], id);
        assert_eq!(
            (&of(new_id)["scopes"], &of(new_id)["allow_ip"]),
            (&json!("cards:write"), &json!("127.0.0.0/8"))
        );
        assert_eq!(of(id)["expires_at"], rolled["old_works_until"]);
        for secret in [old, new, &ApiKey::parse(new).unwrap().sha256_hex()] {
            assert!(
                !listed.to_string().contains(secret),
                "a list shows no secret"
            );
        }

        command(&vault, &["keys", "revoke", "--id", new_id]).unwrap();
        // A running vault looks a key up once a second.
        vault.advance(24 * 3600 + 70).await;
        assert_eq!(status(new).await, 401);
        for gone in [new_id, "key_nobody"] {
            assert!(
                command(&vault, &["keys", "revoke", "--id", gone])
                    .unwrap_err()
                    .contains("keys list")
            );
            assert!(
                command(&vault, &["keys", "roll", "--id", gone])
                    .unwrap_err()
                    .contains("keys list")
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_key_rolls_with_its_merchants() {
    on_each_store(|vault| async move {
        let rolled = command(
            &vault,
            &["keys", "roll", "--id", "key_svc", "--overlap", "0s"],
        )
        .unwrap();
        let token = vault.token("4242424242424242").await;
        for (key, expected) in [
            (rolled["key"].as_str().unwrap(), 200),
            (vault.service_key.expose(), 401),
        ] {
            let service = vault
                .private
                .bearer(key)
                .with("cardseal-merchant", &vault.merchants[0].id);
            let answer = service
                .with("idempotency-key", "k")
                .post("/v1/exchange", &payment(&token, 1))
                .await;
            assert_eq!(answer.status, expected, "{}", answer.text);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_refused_from_other_addresses() {
    on_each_store(|vault| async move {
        let card =
            json!({"card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040}});
        for (allowed, expected) in [
            (&["127.0.0.1/32"][..], 200),
            (&["203.0.113.0/24", "127.0.0.0/8"], 200),
            (&["203.0.113.0/24"], 403),
            (&["127.0.0.2/32", "::1/128"], 403),
            (&[], 200),
        ] {
            let key = restricted(&vault, 0, &["cards:write"], allowed).await;
            let answer = vault
                .private
                .bearer(key.expose())
                .post("/v1/tokens", &card)
                .await;
            assert_eq!(answer.status, expected, "{allowed:?} {}", answer.text);
            if expected == 403 {
                assert_eq!(answer.json["code"], "forbidden");
            }
        }
        // What cannot be read opens the key to nobody.
        let key = restricted(&vault, 0, &["cards:write"], &["127.0.0.1/32"]).await;
        let hash = key.sha256_hex();
        let spoil = vault.app.store.write(move |tx| {
            tx.execute(
                "update api_keys set allow_ip = 'all' where sha256 = $1",
                store::params![&hash],
            )
        });
        assert_eq!(spoil.await.unwrap(), 1);
        assert_eq!(
            vault
                .private
                .bearer(key.expose())
                .post("/v1/tokens", &card)
                .await
                .status,
            500
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fingerprint_is_for_its_scope_and_outlives_rotation() {
    on_each_store(|vault| async move {
        let scopes = ["cards:write", "exchange", "fingerprint"];
        let (seer, other) = (
            restricted(&vault, 0, &scopes, &[]).await,
            restricted(&vault, 1, &scopes, &[]).await,
        );
        let card =
            |number: &str| json!({"card": {"number": number, "exp_month": 12, "exp_year": 2040}});
        let of = async |key: &ApiKey, number: &str| {
            let caller = vault.private.bearer(key.expose());
            let token = caller.post("/v1/tokens", &card(number)).await.json["id"]
                .as_str()
                .unwrap()
                .to_owned();
            let mut body = payment(&token, 1);
            body["store"] = json!("now");
            let answer = caller
                .with("idempotency-key", "k")
                .post("/v1/exchange", &body)
                .await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            (
                answer.json["fingerprint"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                token,
                answer,
            )
        };
        let (first, token, answer) = of(&seer, "4242424242424242").await;
        assert!(first.starts_with("fp1_") && first.len() == 47, "{first}");
        assert_eq!(of(&seer, "4242424242424242").await.0, first);
        assert_ne!(of(&seer, "5555555555554444").await.0, first);
        assert_ne!(of(&other, "4242424242424242").await.0, first);

        // Without the scope: not at first, not as a replay of what somebody else was shown.
        let mut body = payment(&token, 1);
        body["store"] = json!("now");
        let replay = vault.exchange(&body, "k").await;
        assert_eq!(
            (replay.status, replay.json.get("fingerprint")),
            (200, None),
            "{}",
            replay.text
        );
        assert_eq!(replay.json["grant"], answer.json["grant"]);
        let plain = vault
            .exchange(&payment(&vault.token("4242424242424242").await, 1), "k")
            .await;
        assert_eq!((plain.status, plain.json.get("fingerprint")), (200, None));

        let (store, root) = command_line(&vault).await;
        let actor = Actor {
            merchant: String::new(),
            id: "operator".into(),
            request_id: "req_t".into(),
        };
        rotation::tenant(
            &store,
            &root,
            &Clock::system(),
            &vault.merchants[0].id,
            &actor,
        )
        .await
        .unwrap();
        assert_eq!(of(&seer, "4242424242424242").await.0, first);
        let stored = answer.json["stored_card"]["id"].as_str().unwrap();
        let caller = vault
            .private
            .bearer(seer.expose())
            .with("idempotency-key", "s");
        let paid = caller.post("/v1/exchange", &payment(stored, 1)).await;
        assert_eq!(paid.json["fingerprint"], first.as_str());

        let refused = command(
            &vault,
            &[
                "keys",
                "create",
                "--kind",
                "rk",
                "--merchant",
                "mer_a",
                "--scope",
                "fingerprint",
                "--scope",
                "cards:bin",
            ],
        );
        assert!(refused.unwrap_err().contains("not both"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_rotates_what_a_server_serves() {
    for database in database::fresh() {
        let vault = Vault::start(database, None).await;
        let token = vault.token("4242424242424242").await;
        let stored = vault
            .exchange(&json!({"source": token, "for": "storage"}), "k")
            .await;
        let card = stored.json["stored_card"]["id"].as_str().unwrap();
        let path = |name: &str| vault.folder.join(name).display().to_string();
        let (roots, merchant) = (path("roots"), vault.merchants[0].id.as_str());
        let tenant = [
            "keys",
            "rotate",
            "tenant",
            "--merchant",
            merchant,
            "--roots-file",
            &roots,
        ];
        let done = command(&vault, &tenant).unwrap();
        assert_eq!(
            (done["generation"].as_i64(), done["rewrapped"].as_i64()),
            (Some(2), Some(1))
        );

        let to = format!("file:{}", path("next.key"));
        let root = [
            "keys",
            "rotate",
            "root",
            "--to",
            &to,
            "--roots-file",
            &roots,
        ];
        assert!(
            command(&vault, &root)
                .unwrap_err()
                .contains("roots file first")
        );
        let both = std::fs::read_to_string(&roots).unwrap() + &to + "\n";
        std::fs::write(&roots, both).unwrap();
        let done = command(&vault, &root).unwrap();
        assert_eq!(
            (
                done["tenant_keys"].as_i64(),
                done["service_secrets"].as_i64()
            ),
            (Some(1), Some(4))
        );
        assert_eq!(
            command(&vault, &root).unwrap()["tenant_keys"],
            0,
            "again changes nothing"
        );

        let inventory = command(&vault, &["keys", "inventory", "--json"]).unwrap();
        let mut states: Vec<_> = inventory["levels"][0]["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["state"].as_str().unwrap().to_owned())
            .collect();
        states.sort();
        assert_eq!(states, ["active", "retired"]);
        assert_eq!(
            inventory["levels"][1]["destroyed"]
                .as_array()
                .unwrap()
                .len(),
            1
        );

        let wrong = path("mistyped.key");
        let mistyped = [
            "keys",
            "rotate",
            "tenant",
            "--merchant",
            merchant,
            "--root-key-file",
            &wrong,
        ];
        assert!(
            command(&vault, &mistyped)
                .unwrap_err()
                .contains("there is no root key file")
        );
        assert!(
            !std::path::Path::new(&wrong).exists(),
            "a mistyped path makes no root"
        );
        let old = path("root.key");
        let former = [
            "keys",
            "rotate",
            "tenant",
            "--merchant",
            merchant,
            "--root-key-file",
            &old,
        ];
        assert!(
            command(&vault, &former)
                .unwrap_err()
                .contains("which was not given")
        );
        let live = [
            "keys",
            "rotate",
            "tenant",
            "--merchant",
            merchant,
            "--root-key-file",
            &old,
            "--mode",
            "live",
        ];
        assert!(
            command(&vault, &live)
                .unwrap_err()
                .contains("is for test mode")
        );

        let pay = vault.exchange(&payment(card, 1), "k2").await;
        assert_eq!(pay.status, 200, "{}", pay.text);
        let acts = vault.app.store.read(|tx| {
            let rows = tx.all(
                "select kind from audit_events where actor = 'operator' order by at, id",
                &[],
            )?;
            rows.iter()
                .map(|row| Ok(row.get(0)?))
                .collect::<Result<Vec<String>, Error>>()
        });
        let acts = acts.await.unwrap();
        for act in [
            "tenant_key.rotated",
            "tenant_key.destroyed",
            "root.rotated",
            "root.retired",
        ] {
            assert!(acts.iter().any(|seen| seen == act), "{act} in {acts:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publishable_key_may_show_the_bin_and_keeps_it_when_rolled() {
    for database in database::fresh() {
        let vault = Vault::start(database, None).await;
        let merchant = vault.merchants[0].id.clone();
        let create = |kind: &str, more: &[&str]| {
            let fixed = ["keys", "create", "--kind", kind, "--merchant", &merchant];
            command(&vault, &[&fixed[..], more].concat())
        };
        let origin = ["--origin", "https://shop.example"];
        let shown = async |key: &str| {
            let body = json!({ "key": key });
            let answer = vault.public.post("/v1/field-sessions", &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            answer.json.get("bin_digits").cloned()
        };
        let plain = create("pk", &origin).unwrap();
        assert_eq!(shown(plain["key"].as_str().unwrap()).await, None);
        for digits in ["6", "8"] {
            let made = create("pk", &[&origin[..], &["--show-bin", digits]].concat()).unwrap();
            let expected = Some(json!(digits.parse::<u8>().unwrap()));
            assert_eq!(shown(made["key"].as_str().unwrap()).await, expected);
            let id = made["id"].as_str().unwrap();
            let rolled =
                command(&vault, &["keys", "roll", "--id", id, "--overlap", "24h"]).unwrap();
            assert_eq!(shown(rolled["key"].as_str().unwrap()).await, expected);
        }
        let listed = command(&vault, &["keys", "list"]).unwrap();
        let rules = listed.as_array().unwrap().iter();
        let mut rules: Vec<_> = rules.filter_map(|key| key["bin_digits"].as_i64()).collect();
        // Keys of one second come in no order.
        rules.sort_unstable();
        assert_eq!(rules, [6, 6, 8, 8]);
        assert!(
            create("rk", &["--show-bin", "6"])
                .unwrap_err()
                .contains("--kind pk")
        );
        assert!(create("pk", &[&origin[..], &["--show-bin", "7"]].concat()).is_err());
    }
}
