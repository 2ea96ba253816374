//! `token-vault serve` as a process of its own, on the database and root of a vault that a test has.

use harness::Http;

use crate::forward_registered::location;
use crate::served::{self, Served};
use crate::vault::Vault;

/// A second vault on a vault's database and root.
pub struct Process(Served);

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
        let folder = vault.folder.clone();
        let frame = served::frame(&folder);
        let (mode, destinations) = (mode.to_owned(), folder.join(destinations));
        let database = location(vault);
        let start = move || {
            Served::start(&folder, |command| {
                command
                    .env("TOKEN_VAULT_DATABASE", database)
                    .env("TOKEN_VAULT_ROOT_KEY_FILE", folder.join(root))
                    .env("TOKEN_VAULT_MODE", mode)
                    .env("TOKEN_VAULT_FRAME_DIR", &frame)
                    .env("TOKEN_VAULT_DESTINATIONS", destinations);
            })
        };
        Self(tokio::task::spawn_blocking(start).await.unwrap())
    }

    pub fn alice(&self, vault: &Vault) -> Http {
        self.with_key(vault.merchants[0].restricted.expose())
    }

    /// The private listener as the holder of a key.
    pub fn with_key(&self, key: &str) -> Http {
        Http::new(&format!("http://127.0.0.1:{}", self.0.private)).bearer(key)
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.0.end();
    }

    /// SIGTERM, and waits until it is gone.
    pub fn stop(mut self) {
        self.0.signal("-TERM");
        assert!(self.0.wait(), "{}", self.0.log());
    }
}
