//! The command line of the bank.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use acquirer_sim::{ApiKey, Bank, CardKey, Keys, Targets, ThreeDs};
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use service::listen::{self, Stop};

/// The bank side of Cardseal: an acquirer and the issuers behind it, for tests and the demo.
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
    #[arg(long, env = "ACQUIRER_SIM_DATABASE", hide_env_values = true)]
    database: store::Location,
    /// Where acquirer requests are taken.
    #[arg(long, env = "ACQUIRER_SIM_LISTEN", default_value = "127.0.0.1:4006")]
    listen: SocketAddr,
    /// Where health, the book and the faults are.
    #[arg(long, env = "ACQUIRER_SIM_ADMIN", default_value = "127.0.0.1:4007")]
    admin: SocketAddr,
    /// A file that holds the JSON acquirer's key (20 characters or more).
    #[arg(long, env = "ACQUIRER_SIM_API_KEY_FILE")]
    api_key_file: PathBuf,
    /// The form acquirer's: what stands after `Basic`. Without it that acquirer takes no calls.
    #[arg(long, env = "ACQUIRER_SIM_FORM_KEY_FILE")]
    form_key_file: Option<PathBuf>,
    /// The XML acquirer's. Without it that acquirer takes no calls.
    #[arg(long, env = "ACQUIRER_SIM_XML_KEY_FILE")]
    xml_key_file: Option<PathBuf>,
    /// Where an acquirer's notifications go, `json=http://127.0.0.1:4004/acquirers/northbank/notifications`; once for
    /// each acquirer that has something to say.
    #[arg(
        long,
        env = "ACQUIRER_SIM_NOTIFY",
        value_name = "ACQUIRER=URL",
        value_delimiter = ','
    )]
    notify: Vec<String>,
    /// A file that holds the key of the card hashes, 64 hex digits; made when it is missing. Default:
    /// `card-hmac.key` beside the API key.
    #[arg(long, env = "ACQUIRER_SIM_CARD_KEY_FILE")]
    card_key_file: Option<PathBuf>,
    /// Where browsers reach this program: the access control server's pages. Default: http:// and the address of
    /// --listen.
    #[arg(long, env = "ACQUIRER_SIM_PUBLIC_URL")]
    public_url: Option<String>,
    /// A file with the key that the directory server presents when it tells a 3DS Server a result.
    #[arg(long, env = "ACQUIRER_SIM_RESULTS_KEY_FILE")]
    results_key_file: Option<PathBuf>,
    /// A file with an offset in seconds that is added to the system's clock (tests).
    #[arg(long, env = "ACQUIRER_SIM_CLOCK_FILE")]
    clock_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Command::Serve(options) = Cli::parse().command;
    service::log::init("acquirer-sim");
    serve(options).await
}

async fn serve(options: Serve) -> anyhow::Result<()> {
    let stop = Stop::on_signal()?;
    let keys = Keys {
        json: Some(key(&options.api_key_file)?),
        form: options.form_key_file.as_deref().map(key).transpose()?,
        xml: options.xml_key_file.as_deref().map(key).transpose()?,
    };
    let targets = Targets::parse(&options.notify)?;
    let card_key_file = options.card_key_file.unwrap_or_else(|| {
        let folder = options.api_key_file.parent().unwrap_or(Path::new("."));
        folder.join("card-hmac.key")
    });
    let results_key = options.results_key_file.map(|file| {
        std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    });
    let three_ds = ThreeDs {
        public_url: options
            .public_url
            .unwrap_or_else(|| format!("http://{}", options.listen)),
        results_key: results_key.transpose()?.map(|text| text.trim().to_owned()),
    };
    let clock = service::Clock::from_option(options.clock_file.as_deref());
    let bank = Bank::open(
        options.database,
        clock,
        keys,
        CardKey::load_or_make(&card_key_file)?,
    )
    .await?
    .with_three_ds(three_ds);

    let (public, admin) = (
        listen::bind(options.listen).await?,
        listen::bind(options.admin).await?,
    );
    tracing::info!(listen = %options.listen, admin = %options.admin, "serving");
    tokio::join!(
        listen::serve(public, bank.router(), stop.clone()),
        listen::serve(admin, bank.admin_router(), stop.clone()),
        bank.run(targets, stop),
    );
    tracing::info!("stopped");
    Ok(())
}

fn key(file: &Path) -> anyhow::Result<ApiKey> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    ApiKey::parse(&text).with_context(|| file.display().to_string())
}
