//! Rate limits of the public listener: token buckets ([`super::buckets`]) per session, address, key and BIN. One that
//! runs hot asks for proof of work ([`super::proof`]) before it is empty and refuses. Answers carry `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10) and, refused, `Retry-After`.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use clap::Args;
use service::caller;
use vault_api::Code;

use super::buckets::{Quota, Table, Taken};
use super::proof::{ProofOptions, Work};
use crate::{App, Error};

/// A quota, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(Option<Quota>);

impl FromStr for Limit {
    type Err = String;

    /// `600/60s` or `off`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let parts = text
            .split_once('/')
            .and_then(|(most, seconds)| Some((most, seconds.strip_suffix('s')?)));
        let quota = parts.and_then(|(most, seconds)| {
            Some(Quota {
                most: most.parse().ok().filter(|n| *n > 0)?,
                seconds: seconds.parse().ok().filter(|n| (1..=86_400).contains(n))?,
            })
        });
        quota
            .map(|quota| Self(Some(quota)))
            .ok_or_else(|| "write requests per seconds as 600/60s, or off".to_owned())
    }
}

/// What is counted, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Field sessions per client address.
    SessionsPerAddress,
    /// Field sessions per publishable key.
    SessionsPerKey,
    /// Tokenisations per field session.
    TokensPerSession,
    /// Tokenisations per client address.
    TokensPerAddress,
    /// Tokenisations per publishable key.
    TokensPerKey,
    /// Tokenisations per publishable key and BIN: card testing runs through the numbers of one BIN.
    TokensPerBin,
}

impl Rule {
    fn name(self) -> &'static str {
        match self {
            Self::SessionsPerAddress => "sessions_per_address",
            Self::SessionsPerKey => "sessions_per_key",
            Self::TokensPerSession => "tokens_per_session",
            Self::TokensPerAddress => "tokens_per_address",
            Self::TokensPerKey => "tokens_per_key",
            Self::TokensPerBin => "tokens_per_bin",
        }
    }

    // How much a merchant sells is nobody's business: what is left of a key's quota is not told to browsers.
    fn is_told(self) -> bool {
        self.is_the_clients() || self == Self::TokensPerSession
    }

    // Its bucket is one client's own, so that its requests count there whatever they show.
    fn is_the_clients(self) -> bool {
        matches!(self, Self::SessionsPerAddress | Self::TokensPerAddress)
    }
}

/// The limits as the operator set them: requests per seconds, or `off`.
#[derive(Debug, Clone, Args)]
pub struct LimitOptions {
    /// Field sessions per client address.
    #[arg(
        long,
        env = "TOKEN_VAULT_LIMIT_SESSIONS_PER_ADDRESS",
        default_value = "600/60s"
    )]
    limit_sessions_per_address: Limit,
    /// Field sessions per publishable key.
    #[arg(
        long,
        env = "TOKEN_VAULT_LIMIT_SESSIONS_PER_KEY",
        default_value = "12000/60s"
    )]
    limit_sessions_per_key: Limit,
    /// Tokenisations per field session.
    #[arg(
        long,
        env = "TOKEN_VAULT_LIMIT_TOKENS_PER_SESSION",
        default_value = "60/60s"
    )]
    limit_tokens_per_session: Limit,
    /// Tokenisations per client address.
    #[arg(
        long,
        env = "TOKEN_VAULT_LIMIT_TOKENS_PER_ADDRESS",
        default_value = "600/60s"
    )]
    limit_tokens_per_address: Limit,
    /// Tokenisations per publishable key.
    #[arg(
        long,
        env = "TOKEN_VAULT_LIMIT_TOKENS_PER_KEY",
        default_value = "12000/60s"
    )]
    limit_tokens_per_key: Limit,
    /// Tokenisations per publishable key and BIN.
    #[arg(
        long,
        env = "TOKEN_VAULT_LIMIT_TOKENS_PER_BIN",
        default_value = "3000/60s"
    )]
    limit_tokens_per_bin: Limit,
    /// A proxy of yours whose `X-Forwarded-For` says who the client is (repeat for several).
    #[arg(
        long = "trusted-proxy",
        env = "TOKEN_VAULT_TRUSTED_PROXY",
        value_delimiter = ','
    )]
    trusted_proxies: Vec<IpAddr>,
    #[command(flatten)]
    proof: ProofOptions,
}

impl Default for LimitOptions {
    /// What the command line says when nothing is set.
    fn default() -> Self {
        let per_minute = |most| Limit(Some(Quota { most, seconds: 60 }));
        Self {
            limit_sessions_per_address: per_minute(600),
            limit_sessions_per_key: per_minute(12_000),
            limit_tokens_per_session: per_minute(60),
            limit_tokens_per_address: per_minute(600),
            limit_tokens_per_key: per_minute(12_000),
            limit_tokens_per_bin: per_minute(3_000),
            trusted_proxies: vec![],
            proof: ProofOptions::default(),
        }
    }
}

/// The limits of a running vault.
pub struct Limits {
    options: LimitOptions,
    table: Table,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(LimitOptions::default())
    }
}

impl Limits {
    /// Limits as the operator set them, all buckets full.
    #[must_use]
    pub fn new(options: LimitOptions) -> Self {
        Self {
            options,
            table: Table::new(),
        }
    }

    fn quota(&self, rule: Rule) -> Option<Quota> {
        let options = &self.options;
        let limit = match rule {
            Rule::SessionsPerAddress => options.limit_sessions_per_address,
            Rule::SessionsPerKey => options.limit_sessions_per_key,
            Rule::TokensPerSession => options.limit_tokens_per_session,
            Rule::TokensPerAddress => options.limit_tokens_per_address,
            Rule::TokensPerKey => options.limit_tokens_per_key,
            Rule::TokensPerBin => options.limit_tokens_per_bin,
        };
        limit.0
    }

    fn take(&self, rule: Rule, key: &str, now_ms: i64) -> Option<Standing> {
        let quota = self.quota(rule)?;
        let taken = self.table.take(&(rule.name(), key), quota, now_ms);
        Some(Standing { rule, quota, taken })
    }

    // The work to ask for; none while the bucket is not hot, and none when it is empty: that is refused.
    fn bits(&self, rule: Rule, key: &str, now_ms: i64) -> Option<u8> {
        let quota = self.quota(rule)?;
        let seen = self.table.look(&(rule.name(), key), quota, now_ms);
        let used = 100 - (seen.left + 1) * 100 / i64::from(quota.most);
        self.options.proof.bits(used).filter(|_| seen.allowed)
    }

    /// Who calls: the peer, or, behind a proxy of ours, whom the proxy names.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        caller::address(peer, headers, &self.options.trusted_proxies)
    }
}

/// One bucket after a request took, or could not take, from it.
#[derive(Debug, Clone, Copy)]
struct Standing {
    rule: Rule,
    quota: Quota,
    taken: Taken,
}

/// What a request took from which buckets; shared by its handler and the layer that writes the headers.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Vec<Standing>>>);

/// The limits as one request meets them.
pub struct Metered {
    address: String,
    ledger: Ledger,
}

impl FromRequestParts<App> for Metered {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |peer| peer.0.ip());
        let client = app.doors.limits.client(peer, &parts.headers);
        let ledger = parts.extensions.get::<Ledger>().cloned();
        Ok(Self {
            address: caller::network(client),
            ledger: ledger.unwrap_or_default(),
        })
    }
}

impl Metered {
    /// Takes one from the client address's bucket, and asks for work when it runs hot.
    ///
    /// # Errors
    /// `rate_limited`, `proof_of_work_required`.
    pub fn pass_by_address(&self, app: &App, rule: Rule, work: &Work) -> Result<(), Error> {
        self.pass(app, rule, &self.address, work)
    }

    /// Takes one from a bucket, and asks for work when it runs hot. What many share is taken from only once the work
    /// is shown: whoever does none cannot use up a merchant's limit.
    ///
    /// # Errors
    /// `rate_limited`, `proof_of_work_required`.
    pub fn pass(&self, app: &App, rule: Rule, key: &str, work: &Work) -> Result<(), Error> {
        let bits = app.doors.limits.bits(rule, key, app.clock.now_ms());
        let Some(bits) = bits.filter(|_| !work.is_shown()) else {
            return self.take(app, rule, key);
        };
        if rule.is_the_clients() {
            self.take(app, rule, key)?;
        }
        let labels = [("policy", rule.name())];
        app.metrics.count("vault_challenges_total", &labels);
        Err(work.ask(app, bits))
    }

    /// Takes one from a bucket.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn take(&self, app: &App, rule: Rule, key: &str) -> Result<(), Error> {
        let Some(standing) = app.doors.limits.take(rule, key, app.clock.now_ms()) else {
            return Ok(());
        };
        let mut ledger = self.ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.push(standing);
        if standing.taken.allowed {
            return Ok(());
        }
        app.metrics
            .count("vault_rate_limited_total", &[("policy", rule.name())]);
        Err(Code::RateLimited.into())
    }
}

/// Writes `RateLimit`, `RateLimit-Policy` and, refused, `Retry-After`.
pub async fn report(mut request: Request, next: Next) -> Response {
    let ledger = Ledger::default();
    request.extensions_mut().insert(ledger.clone());
    let mut response = next.run(request).await;
    let standings = ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
    let told: Vec<&Standing> = standings
        .iter()
        .filter(|standing| standing.rule.is_told())
        .collect();
    let seconds = |ms: i64| (ms + 999) / 1000;
    let list = |of: &dyn Fn(&Standing) -> String| {
        let items: Vec<String> = told.iter().map(|standing| of(standing)).collect();
        HeaderValue::from_str(&items.join(", ")).ok()
    };
    let policies = list(&|s| {
        format!(
            "\"{}\";q={};w={}",
            s.rule.name(),
            s.quota.most,
            s.quota.seconds
        )
    });
    let limits = list(&|s| {
        format!(
            "\"{}\";r={};t={}",
            s.rule.name(),
            s.taken.left,
            seconds(s.taken.wait_ms)
        )
    });
    let refused = standings.iter().find(|standing| !standing.taken.allowed);
    let retry =
        refused.and_then(|s| HeaderValue::from_str(&seconds(s.taken.wait_ms).to_string()).ok());
    let headers = response.headers_mut();
    for (name, value) in [
        (
            HeaderName::from_static("ratelimit-policy"),
            policies.filter(|_| !told.is_empty()),
        ),
        (
            HeaderName::from_static("ratelimit"),
            limits.filter(|_| !told.is_empty()),
        ),
        (header::RETRY_AFTER, retry),
    ] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    drop(told);
    drop(standings);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_people_write_them() {
        assert_eq!(
            "600/60s".parse(),
            Ok(Limit(Some(Quota {
                most: 600,
                seconds: 60
            })))
        );
        assert_eq!("off".parse(), Ok(Limit(None)));
        for bad in ["", "600", "600/m", "0/60s", "1/0s", "-1/60s"] {
            assert!(bad.parse::<Limit>().is_err(), "{bad}");
        }
    }
}
