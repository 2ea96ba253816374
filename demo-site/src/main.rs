//! The command line of the shop.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use demo_site::{Secret, Settings, Shop};
use service::listen::{self, Stop};

/// A merchant's shop that takes cards through Cardseal.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGINT or SIGTERM.
    Serve(Serve),
}

#[derive(clap::Args)]
struct Serve {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE` (by environment when it holds a password).
    #[arg(long, env = "DEMO_SITE_DATABASE", hide_env_values = true)]
    database: store::Location,
    /// Where the shop listens.
    #[arg(long, env = "DEMO_SITE_LISTEN", default_value = "127.0.0.1:4000")]
    listen: SocketAddr,
    /// The shop's address in a browser.
    #[arg(
        long,
        env = "DEMO_SITE_PUBLIC_URL",
        default_value = "http://shop.localhost:4000"
    )]
    public_url: String,
    /// The vault's public origin, from which the loader and the frame come.
    #[arg(
        long,
        env = "DEMO_SITE_VAULT_PUBLIC_URL",
        default_value = "http://vault.localhost:4001"
    )]
    vault_public_url: String,
    /// The payment API.
    #[arg(
        long,
        env = "DEMO_SITE_PAYMENTS_URL",
        default_value = "http://127.0.0.1:4004"
    )]
    payments_url: String,
    /// The key that the page shows to everybody, `pk_..`.
    #[arg(long, env = "DEMO_SITE_PUBLISHABLE_KEY")]
    publishable_key: String,
    /// Another one, made with `--card-rules`: the gallery shows what they do.
    #[arg(long, env = "DEMO_SITE_GALLERY_KEY")]
    gallery_key: Option<String>,
    /// A file that holds the secret key, `sk_..`.
    #[arg(long, env = "DEMO_SITE_SECRET_KEY_FILE")]
    secret_key_file: PathBuf,
    /// A file that holds the webhook secret, `whsec_..`; several lines while it is being rolled.
    #[arg(long, env = "DEMO_SITE_WEBHOOK_SECRET_FILE")]
    webhook_secret_file: PathBuf,
    /// A file with an offset in seconds that is added to the system's clock (tests).
    #[arg(long, env = "DEMO_SITE_CLOCK_FILE")]
    clock_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Command::Serve(options) = Cli::parse().command;
    service::log::init("demo-site");
    serve(options).await
}

async fn serve(options: Serve) -> anyhow::Result<()> {
    let stop = Stop::on_signal()?;
    let settings = Settings {
        public_url: options.public_url,
        vault_url: options.vault_public_url,
        payments_url: options.payments_url,
        publishable_key: options.publishable_key,
        gallery_key: options.gallery_key,
        secret_key: Secret::one_from_file(&options.secret_key_file, "sk_")?,
        webhook_secrets: Secret::all_from_file(&options.webhook_secret_file, "whsec_")?,
    };
    let clock = service::Clock::from_option(options.clock_file.as_deref());
    let shop = Shop::open(options.database, clock, settings).await?;
    let listener = listen::bind(options.listen).await?;
    tracing::info!(listen = %options.listen, "serving");
    tokio::join!(
        listen::serve(listener, shop.router(), stop.clone()),
        shop.run_jobs(stop),
    );
    tracing::info!("stopped");
    Ok(())
}
