//! The command line. Every flag also comes from the environment; secrets come from files.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::operate;

/// The Stripe-shaped payment API of Cardseal. It holds no card data: cards stay in the vault.
#[derive(Debug, Parser)]
#[command(name = "payments", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API, resolve open payments and deliver webhooks until SIGTERM or Ctrl-C.
    Serve(Serve),
    /// Look whether a set-up is fit to go live; takes the options of `serve` and changes nothing. Exits 1 when it is not.
    Doctor(Serve),
    /// Manage webhook endpoints.
    #[command(subcommand)]
    WebhookEndpoints(WebhookEndpoints),
    /// Look after events.
    #[command(subcommand)]
    Events(Events),
    /// Make an event happen in test mode: the calls that lead to it are made on a running API.
    Trigger(Trigger),
    /// Say where payments go, and take acquirers out and in.
    #[command(subcommand)]
    Route(operate::Route),
    /// Decide what nobody could find out.
    #[command(subcommand)]
    Attempt(operate::Attempt),
}

/// `payments serve`
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub database: Database,
    /// Where the API listens.
    #[arg(long, env = "PAYMENTS_LISTEN", default_value = "127.0.0.1:4004")]
    pub listen: SocketAddr,
    /// Where health and metrics listen.
    #[arg(long, env = "PAYMENTS_ADMIN", default_value = "127.0.0.1:4005")]
    pub admin: SocketAddr,
    /// The vault's private listener.
    #[arg(long, env = "PAYMENTS_VAULT_URL", default_value = "http://127.0.0.1:4002", value_parser = http_url)]
    pub vault_url: String,
    /// File with the service key (svc_..) that the vault's operator made for payments.
    #[arg(long, env = "PAYMENTS_SERVICE_KEY_FILE")]
    pub service_key_file: PathBuf,
    #[command(flatten)]
    pub seal_key: SealKey,
    /// The acquirers, in the order of preference (TOML).
    #[arg(long, env = "PAYMENTS_ACQUIRERS")]
    pub acquirers: PathBuf,
    /// The hosted page's addresses and merchants (TOML); without it no Checkout Session can be made.
    #[arg(long, env = "PAYMENTS_CHECKOUT")]
    pub checkout: Option<PathBuf>,
    /// Sends a span for each request there, by OTLP/HTTP (http://HOST:4318); nothing is sent without it.
    #[arg(long, env = "PAYMENTS_OTLP_ENDPOINT", value_parser = http_url)]
    pub otlp_endpoint: Option<String>,
    /// Lets test-mode webhook endpoints be on this machine. Live mode never delivers to private addresses.
    #[arg(long, env = "PAYMENTS_WEBHOOK_LOOPBACK")]
    pub webhook_loopback: bool,
    /// The 3-D Secure set-up (TOML); without it no buyer is authenticated.
    #[arg(long, env = "PAYMENTS_THREE_D_SECURE")]
    pub three_d_secure: Option<PathBuf>,
    /// The rules by which payments are spread over them (TOML); without it, that order.
    #[arg(long, env = "PAYMENTS_ROUTING")]
    pub routing: Option<PathBuf>,
    /// The fraud rules (TOML); without it the built-in ones (docs/fraud-rules.md).
    #[arg(long, env = "PAYMENTS_RISK")]
    pub risk: Option<PathBuf>,
    /// The merchants' settlement currencies and the exchange rates (TOML); without it every payment is settled in its own
    /// currency (docs/acquirers.md).
    #[arg(long, env = "PAYMENTS_CONVERSION")]
    pub conversion: Option<PathBuf>,
    /// Confirmations that may wait for a worker (`Prefer: respond-async`); more are answered 503 with Retry-After.
    #[arg(long, env = "PAYMENTS_QUEUE_LIMIT", default_value_t = 1_000,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub queue_limit: u32,
    /// How many of them this process works on at once.
    #[arg(long, env = "PAYMENTS_QUEUE_WORKERS", default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub queue_workers: u32,
    /// How long the vault is asked about a token before one is accepted, milliseconds.
    #[arg(long, env = "PAYMENTS_QUEUE_FORESIGHT_MS", default_value_t = 25,
          value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub queue_foresight_ms: u64,
    /// A proxy of yours whose `X-Forwarded-For` says who the client is (repeat for several).
    #[arg(
        long = "trusted-proxy",
        env = "PAYMENTS_TRUSTED_PROXY",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<IpAddr>,
    /// Test mode only: a file with seconds to add to the clock, re-read as it changes.
    #[arg(long, env = "PAYMENTS_CLOCK_FILE")]
    pub clock_file: Option<PathBuf>,
}

/// What seals secrets in the database.
#[derive(Debug, Args)]
pub struct SealKey {
    /// File with payments' own sealing key, 64 hex digits; made (mode 0600) when missing. Processes that share a
    /// database share it.
    #[arg(long, env = "PAYMENTS_SEAL_KEY_FILE")]
    pub seal_key_file: PathBuf,
}

/// Where the data is.
#[derive(Debug, Args)]
pub struct Database {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(long, env = "PAYMENTS_DATABASE", hide_env_values = true)]
    pub database: String,
}

/// `payments webhook-endpoints`
#[derive(Debug, Subcommand)]
pub enum WebhookEndpoints {
    /// Make an endpoint; prints {"id","secret"}. The secret is not shown again.
    Create(CreateEndpoint),
    /// List all endpoints, one JSON object a line, without their secrets.
    List(Database),
    /// Replace an endpoint's secret; prints {"id","secret"}. For a while both sign.
    RollSecret(RollSecret),
}

/// `payments webhook-endpoints roll-secret`
#[derive(Debug, Args)]
pub struct RollSecret {
    #[command(flatten)]
    pub database: Database,
    #[command(flatten)]
    pub seal_key: SealKey,
    /// The endpoint, we_..
    pub endpoint: String,
    /// How long the old secret signs too, seconds.
    #[arg(long, env = "PAYMENTS_PREVIOUS_EXPIRES_IN", default_value_t = 86_400,
          value_parser = clap::value_parser!(i64).range(0..=604_800))]
    pub previous_expires_in: i64,
}

/// `payments events`
#[derive(Debug, Subcommand)]
pub enum Events {
    /// Deliver an event once more, with its retries from the start; a running `payments serve` does it.
    Resend(Resend),
}

/// `payments events resend`
#[derive(Debug, Args)]
pub struct Resend {
    #[command(flatten)]
    pub database: Database,
    /// The event, evt_..
    pub event: String,
    /// To this endpoint only, we_..
    #[arg(long, env = "PAYMENTS_WEBHOOK_ENDPOINT")]
    pub webhook_endpoint: Option<String>,
}

/// `payments trigger`
#[derive(Debug, Args)]
pub struct Trigger {
    /// The event's type, such as payment_intent.succeeded; `list` names them all.
    pub event: String,
    /// The API.
    #[arg(long, env = "PAYMENTS_URL", default_value = "http://127.0.0.1:4004", value_parser = http_url)]
    pub api: String,
    /// File with the merchant's test key, sk_test_..
    #[arg(long, env = "PAYMENTS_SECRET_KEY_FILE")]
    pub secret_key_file: Option<PathBuf>,
    /// A card instead of the published test card that leads to the event: a payment method, pm_.., or a token, tok_..
    #[arg(long)]
    pub card: Option<String>,
}

/// `payments webhook-endpoints create`
#[derive(Debug, Args)]
pub struct CreateEndpoint {
    #[command(flatten)]
    pub database: Database,
    #[command(flatten)]
    pub seal_key: SealKey,
    /// The merchant's id, mer_..
    #[arg(long, env = "PAYMENTS_MERCHANT")]
    pub merchant: String,
    /// Where events are posted.
    #[arg(long, env = "PAYMENTS_URL")]
    pub url: String,
    /// Event types, separated by commas, or * for all.
    #[arg(
        long,
        env = "PAYMENTS_EVENTS",
        default_value = "*",
        value_delimiter = ','
    )]
    pub events: Vec<String>,
    /// When failed deliveries are tried again; standard in live mode and short in test mode without it.
    #[arg(long, env = "PAYMENTS_RETRY_POLICY", value_parser = ["standard", "short"])]
    pub retry_policy: Option<String>,
    /// For live mode (https only); test mode without it.
    #[arg(long, env = "PAYMENTS_LIVEMODE")]
    pub livemode: bool,
}

fn http_url(text: &str) -> Result<String, String> {
    let http = text.starts_with("http://") || text.starts_with("https://");
    let url = text.trim_end_matches('/').to_owned();
    if http {
        Ok(url)
    } else {
        Err("must begin with http:// or https://".into())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
