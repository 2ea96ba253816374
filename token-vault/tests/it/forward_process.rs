//! `token-vault serve` as a process of its own.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::Http;
use serde_json::json;

use crate::forward_registered::location;
use crate::vault::Vault;

/// `token-vault serve` as a process of its own, on a vault's database and root.
pub struct Process {
    child: Child,
    private: String,
}

impl Process {
    pub async fn start(vault: &Vault) -> Self {
        Self::start_in(vault, "test", "destinations.toml").await
    }

    /// In `mode`, with a root key of that mode.
    pub async fn start_in(vault: &Vault, mode: &str, destinations: &str) -> Self {
        let root = if mode == "test" {
            "root.key"
        } else {
            "live.key"
        };
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
            .env("TOKEN_VAULT_ROOT_KEY_FILE", vault.folder.join(root))
            .env("TOKEN_VAULT_MODE", mode)
            .env("TOKEN_VAULT_FRAME_DIR", &frame)
            .env("TOKEN_VAULT_DESTINATIONS", vault.folder.join(destinations))
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

    pub fn alice(&self, vault: &Vault) -> Http {
        Http::new(&self.private).bearer(vault.merchants[0].restricted.expose())
    }

    /// The private listener as the holder of a key.
    pub fn with_key(&self, key: &str) -> Http {
        Http::new(&self.private).bearer(key)
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Process {
    /// SIGTERM, and waits until it is gone.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.child.wait().unwrap().success());
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
