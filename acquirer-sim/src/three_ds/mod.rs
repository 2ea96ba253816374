//! EMV 3-D Secure 2.2: a directory server and an access control server in front of the issuers.
//!
//! What each test card does is in [`cards`]. Messages: [`directory`] answers the versioning request and the AReq
//! ([`areq`] checks it); [`acs`] serves the 3DS Method and the challenge page; [`results`] sends the RReq. What the
//! issuers keep of it is in [`records`], and [`terms`] is what an authorisation says of it.

mod acs;
mod areq;
pub(crate) mod cards;
mod directory;
pub(crate) mod records;
mod results;
pub(crate) mod terms;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use service::Client;
use std::time::Duration;

use crate::Bank;
use crate::acquirer::Acquirer;
use crate::dialects::authenticate;

/// The largest message that is read.
const MAX_BODY: usize = 64 * 1024;

/// How the access control server is reached, and how it reaches 3DS Servers.
pub struct Settings {
    /// Where browsers reach this program, without a slash at the end.
    pub public_url: String,
    /// What the directory server presents to a 3DS Server, which in production would be a client certificate.
    pub results_key: Option<String>,
}

/// The running servers.
pub(crate) struct Servers {
    public_url: String,
    results_key: Option<String>,
    client: Client,
}

impl Servers {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            public_url: settings.public_url.trim_end_matches('/').to_owned(),
            results_key: settings.results_key,
            client: Client::new(Duration::from_secs(2), Duration::from_secs(10)),
        }
    }

    /// A URL of the access control server.
    fn url(&self, path: &str) -> String {
        format!("{}/3ds{path}", self.public_url)
    }
}

/// The directory server behind the API key, the access control server for any browser.
pub(crate) fn routes(bank: &Bank) -> Router {
    let directory = Router::new()
        .route("/3ds/v1/versioning", post(directory::versioning))
        .route("/3ds/v1/authenticate", post(directory::authenticate))
        .layer(middleware::from_fn_with_state(
            (bank.clone(), Acquirer::Json),
            authenticate,
        ));
    Router::new()
        .route("/3ds/method", post(acs::method))
        .route("/3ds/challenge", post(acs::challenge))
        .route("/3ds/challenge/{id}", get(acs::page).post(acs::answer))
        .route("/3ds/acs.css", get(acs::css))
        .route("/3ds/post.js", get(acs::script))
        .merge(directory)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(bank.clone())
}

/// A random UUID (version 4), as EMV names transactions.
fn uuid() -> String {
    let mut bytes = random::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let [a, b, c, d, e] = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    format!("{a}-{b}-{c}-{d}-{e}")
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "without randomness nothing may be authenticated"
    )]
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}
