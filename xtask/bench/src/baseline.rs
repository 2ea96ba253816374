//! The baseline's process, and how much it can do.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::load::{self, Requests, request};

/// A running baseline. Dropping it ends it.
pub struct Hello {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    postgres: Option<String>,
}

impl Hello {
    /// Starts this program as the baseline.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(postgres: Option<String>) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(std::env::current_exe()?)
            .args(["hello", &address.to_string()])
            .stdin(Stdio::null())
            .spawn()?;
        let hello = Self {
            address,
            child,
            postgres,
        };
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(hello)
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its request.
    #[must_use]
    pub fn request() -> Requests {
        let body = r#"{"name":"Ada","amount":1999}"#;
        Requests::Same(Arc::new(request("POST", "/hello", &[], body)))
    }

    /// Answers a second, over this many connections.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn per_second(&self, connections: usize) -> anyhow::Result<f64> {
        let time = Duration::from_millis(700);
        let measured = load::run(self.address, connections, &Self::request(), time).await?;
        Ok(measured.per_second)
    }

    /// How often PostgreSQL has synced its log.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn wal_syncs(&self) -> anyhow::Result<i64> {
        let url = self.postgres.clone().unwrap_or_default();
        harness::database::wal_syncs(&url)
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
