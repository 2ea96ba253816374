//! A vault that is killed in the middle of a send, beside one that lives: the dead one's attempt is `unknown`, the
//! living one's is its own.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use harness::Http;
use harness::database;
use serde_json::{Value, json};
use token_vault::Error;
use token_vault::records::processes::{self, Here};

use crate::endpoint::{self, Behaviour, Endpoint};
use crate::forward_bodies::{call, destinations, forward, grant};
use crate::forward_registered::location;
use crate::vault::Vault;

/// `token-vault serve` as a process of its own, on a vault's database and root.
struct Process {
    child: Child,
    private: String,
}

impl Process {
    async fn start(vault: &Vault) -> Self {
        let ports = [free(), free(), free()];
        let frame = vault.folder.join("frame");
        std::fs::create_dir_all(&frame).unwrap();
        std::fs::write(frame.join("f"), "").unwrap();
        let manifest = json!({"loader": {"file": "f"}, "document": {"file": "f", "script_hashes": [], "style_hashes": []}, "assets": []});
        std::fs::write(frame.join("manifest.json"), manifest.to_string()).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_token-vault"))
            .arg("serve")
            .args(["--public", &ports[0].to_string()])
            .args(["--private", &ports[1].to_string()])
            .args(["--admin", &ports[2].to_string()])
            .env("TOKEN_VAULT_DATABASE", location(vault))
            .env("TOKEN_VAULT_ROOT_KEY_FILE", vault.folder.join("root.key"))
            .env("TOKEN_VAULT_FRAME_DIR", &frame)
            .env(
                "TOKEN_VAULT_DESTINATIONS",
                vault.folder.join("destinations.toml"),
            )
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self {
            child,
            private: format!("http://{}", ports[1]),
        };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(ports[1]).await.is_ok() {
                return process;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the vault did not come up");
    }

    fn alice(&self, vault: &Vault) -> Http {
        Http::new(&self.private).bearer(vault.merchants[0].restricted.expose())
    }

    // SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

async fn arrived(endpoint: &Endpoint, count: usize) {
    for _ in 0..200 {
        let seen = endpoint.seen();
        let whole = seen.iter().filter(|r| endpoint::is_whole(r.as_bytes()));
        if whole.count() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{count} requests did not arrive");
}

async fn closed(alice: &Http, attempt: &str) -> Value {
    let answer = alice
        .post("/v1/attempts/close", &json!({ "attempt": attempt }))
        .await;
    answer.json
}

async fn sql(vault: &Vault, sql: &'static str) {
    let write = move |tx: &mut store::Tx<'_>| Ok::<_, Error>(tx.execute(sql, &[])?);
    vault.app.store.write(write).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_send_is_unknown_and_a_living_one_is_left_alone() {
    for database in database::fresh() {
        let endpoint = Endpoint::plain().await;
        let text =
            destinations(&endpoint).replace("total_ms = 3000", "total_ms = 60000\nread_ms = 20000");
        let vault = Arc::new(Vault::start(database, Some(&text)).await);
        let here = Here::new(&vault.app.process);
        let beat = move |tx: &mut store::Tx<'_>| processes::beat(tx, &here);
        vault.app.store.write(beat).await.unwrap();
        let body = json!({"card": {"number": "{{card.number}}"}});
        let (grant_1, grant_2) = (grant(&vault).await, grant(&vault).await);
        let dying = call(&grant_1, "json", "att_dying", body.clone());
        let living = call(&grant_2, "json", "att_living", body.clone());

        endpoint.behave(Behaviour::Stall);
        let process = Process::start(&vault).await;
        let (alice, asked) = (process.alice(&vault), dying.clone());
        // Its caller sees the connection break; the test's client would panic, so it gives up first.
        let call_1 = tokio::time::timeout(Duration::from_secs(2), async move {
            alice.post("/v1/forward", &asked).await
        });
        let call_1 = tokio::spawn(call_1);
        let (other, asked) = (vault.clone(), living.clone());
        let call_2 = tokio::spawn(async move { forward(&other, &asked).await });
        arrived(&endpoint, 2).await;
        assert!(call_1.await.unwrap().is_err());
        process.kill();

        // The next process finds both open: one's process is gone, the other's lives.
        let process = Process::start(&vault).await;
        let alice = process.alice(&vault);
        let unknown = json!({"attempt": "att_dying", "bytes_sent": "unknown", "failure": "interrupted", "cvc_sent": false});
        assert_eq!(closed(&alice, "att_dying").await, unknown);
        assert_eq!(
            closed(&alice, "att_living").await["code"],
            "attempt_in_flight"
        );
        // What is recorded is answered, and nothing is sent again.
        assert_eq!(alice.post("/v1/forward", &dying).await.json, unknown);
        assert_eq!(endpoint.seen().len(), 2);
        endpoint.answer(endpoint::json(r#"{"status":"ok"}"#));
        let next = alice
            .post(
                "/v1/forward",
                &call(&grant_1, "json", "att_next", body.clone()),
            )
            .await;
        assert_eq!(next.json["bytes_sent"], "all", "{}", next.text);

        // A process that is not seen for longer than the lease is taken for dead, whatever machine it is on; when it
        // comes back its caller is told what was recorded.
        sql(&vault, "update processes set host = 'elsewhere' where host = (select host from processes limit 1)").await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(
            closed(&alice, "att_living").await["code"],
            "attempt_in_flight"
        );
        sql(
            &vault,
            "update processes set seen_at = seen_at - 100 where host = 'elsewhere'",
        )
        .await;
        for _ in 0..40 {
            if closed(&alice, "att_living").await["bytes_sent"] == "unknown" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(closed(&alice, "att_living").await["bytes_sent"], "unknown");
        let told = call_2.await.unwrap();
        assert_eq!(told.json["bytes_sent"], "unknown", "{}", told.text);
        process.kill();
    }
}
