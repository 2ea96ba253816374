//! Starting and stopping the listeners: TLS, caps, shares, traces, and a runtime of its own for the public one.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use axum::Router;
use clap::Args;
use service::listen::{self, Options, Stop};
use service::tls::{Files, Tls};
use service::traces::Traces;
use tokio::net::TcpListener;

use crate::http::doors::{Doors, Shares};
use crate::http::limits::{LimitOptions, Limits};
use crate::{App, operator, private, public};

/// Where the vault listens, and how.
#[derive(Debug, Clone, Args)]
pub struct ListenerOptions {
    /// Frame, loader and tokenise: what browsers reach.
    #[arg(long, env = "TOKEN_VAULT_PUBLIC", default_value = "127.0.0.1:4001")]
    pub public: SocketAddr,
    /// Exchange and forward: what merchants' servers and payments reach.
    #[arg(long, env = "TOKEN_VAULT_PRIVATE", default_value = "127.0.0.1:4002")]
    pub private: SocketAddr,
    /// Health and metrics: what the operator reaches. In TLS (the private listener's) unless on loopback.
    #[arg(long, env = "TOKEN_VAULT_ADMIN", default_value = "127.0.0.1:4003")]
    pub admin: SocketAddr,
    /// The public listener's certificate chain (PEM); read again when it changes or on SIGHUP.
    #[arg(
        long,
        env = "TOKEN_VAULT_PUBLIC_TLS_CERTIFICATE",
        requires = "public_tls_key"
    )]
    public_tls_certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(
        long,
        env = "TOKEN_VAULT_PUBLIC_TLS_KEY",
        requires = "public_tls_certificate"
    )]
    public_tls_key: Option<PathBuf>,
    /// The private listener's certificate chain (PEM).
    #[arg(
        long,
        env = "TOKEN_VAULT_PRIVATE_TLS_CERTIFICATE",
        requires = "private_tls_key"
    )]
    private_tls_certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(
        long,
        env = "TOKEN_VAULT_PRIVATE_TLS_KEY",
        requires = "private_tls_certificate"
    )]
    private_tls_key: Option<PathBuf>,
    /// Who signs client certificates for the private listener (PEM).
    #[arg(
        long,
        env = "TOKEN_VAULT_CLIENT_CA",
        requires = "private_tls_certificate"
    )]
    client_ca: Option<PathBuf>,
    /// Turn away clients of the private listener that show no certificate.
    #[arg(
        long,
        env = "TOKEN_VAULT_REQUIRE_CLIENT_CERTIFICATE",
        requires = "client_ca"
    )]
    require_client_certificate: bool,
    /// Connections at once, on each listener.
    #[arg(long, env = "TOKEN_VAULT_MAX_CONNECTIONS", default_value_t = 4096)]
    max_connections: usize,
    /// Requests under way at once on the public listener; more wait a second, then are told to come again.
    #[arg(long, env = "TOKEN_VAULT_PUBLIC_IN_FLIGHT", default_value_t = 128)]
    public_in_flight: usize,
    /// The same on the private listener.
    #[arg(long, env = "TOKEN_VAULT_PRIVATE_IN_FLIGHT", default_value_t = 512)]
    private_in_flight: usize,
    /// Where OpenTelemetry spans go (OTLP/HTTP), `http://127.0.0.1:4318`; nowhere when left out.
    #[arg(long, env = "TOKEN_VAULT_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    #[command(flatten)]
    limits: LimitOptions,
}

impl ListenerOptions {
    /// The certificate files of each listener that has some, by its name.
    #[must_use]
    pub fn certificates(&self) -> Vec<(&'static str, Files)> {
        [
            ("public", self.public_files()),
            ("private", self.private_files()),
        ]
        .into_iter()
        .filter_map(|(name, files)| Some((name, files?)))
        .collect()
    }

    fn public_files(&self) -> Option<Files> {
        Some(Files {
            certificate: self.public_tls_certificate.clone()?,
            key: self.public_tls_key.clone()?,
            client_ca: None,
            require_client: false,
        })
    }

    fn private_files(&self) -> Option<Files> {
        Some(Files {
            certificate: self.private_tls_certificate.clone()?,
            key: self.private_tls_key.clone()?,
            client_ca: self.client_ca.clone(),
            require_client: self.require_client_certificate,
        })
    }

    /// Refuses plain HTTP where others could listen in.
    ///
    /// # Errors
    /// Which listener, and what to do.
    pub fn check(&self) -> anyhow::Result<()> {
        let (public, private) = (self.public_files(), self.private_files());
        for (name, address, tls, option) in [
            ("public", self.public, public.is_some(), "public"),
            ("private", self.private, private.is_some(), "private"),
            ("admin", self.admin, private.is_some(), "private"),
        ] {
            if !tls && !address.ip().is_loopback() {
                bail!(
                    "--{name} {address}: plain HTTP is served on loopback only; give --{option}-tls-certificate and \
                     --{option}-tls-key, or listen on 127.0.0.1 behind TLS of your own"
                );
            }
        }
        Ok(())
    }

    /// What guards the listeners. Spans are exported until `stop`.
    #[must_use]
    pub fn doors(&self, stop: &Stop) -> Doors {
        let endpoint = self.otlp_endpoint.as_deref();
        Doors {
            limits: Limits::new(self.limits.clone()),
            shares: Shares::new(self.public_in_flight, self.private_in_flight),
            traces: endpoint.map_or_else(Traces::default, |at| {
                Traces::export("token-vault", at, stop.clone())
            }),
        }
    }

    fn options(&self, files: Option<Files>, stop: &Stop) -> anyhow::Result<Options> {
        let tls = files.map(Tls::read).transpose()?;
        if let Some(tls) = &tls {
            tls.keep_fresh(stop.clone())?;
        }
        Ok(Options {
            connections: self.max_connections,
            tls,
            ..Options::default()
        })
    }
}

/// Serves all three until `stop`, then lets the requests under way finish.
///
/// # Errors
/// An address that is taken, or certificate files that are wrong.
pub async fn serve(app: &App, options: &ListenerOptions, stop: Stop) -> anyhow::Result<()> {
    let for_public = options.options(options.public_files(), &stop)?;
    let for_private = options.options(options.private_files(), &stop)?;
    let for_admin = Options {
        tls: for_private
            .tls
            .clone()
            .filter(|_| !options.admin.ip().is_loopback()),
        ..for_private.clone()
    };
    let public = listen::bind(options.public).await?;
    let private = listen::bind(options.private).await?;
    let admin = listen::bind(options.admin).await?;
    tracing::info!(public = %options.public, private = %options.private, admin = %options.admin, mode = %app.root.mode(), "serving");
    let public = apart(
        public,
        public::router(app.clone()),
        stop.clone(),
        for_public,
    )?;
    tokio::join!(
        listen::serve_with(
            private,
            private::router(app.clone()),
            stop.clone(),
            for_private
        ),
        listen::serve_with(admin, operator::router(app.clone()), stop, for_admin),
    );
    tokio::task::spawn_blocking(move || public.join())
        .await?
        .map_err(|_| anyhow::anyhow!("the public listener's thread panicked"))?
}

// In threads of its own: whatever a flood on the public listener takes of them, the system's scheduler leaves the
// private listener's threads their turn.
fn apart(
    listener: TcpListener,
    router: Router,
    stop: Stop,
    options: Options,
) -> anyhow::Result<std::thread::JoinHandle<anyhow::Result<()>>> {
    let listener = listener.into_std()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("public")
        .enable_all()
        .build()
        .context("the public listener's runtime could not be made")?;
    let run = move || {
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener)?;
            listen::serve_with(listener, router, stop, options).await;
            Ok(())
        })
    };
    Ok(std::thread::Builder::new()
        .name("public".to_owned())
        .spawn(run)?)
}
