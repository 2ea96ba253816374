//! What every part of the program shares, built once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use service::Clock;
use service::health::Metrics;
use service::traces::Traces;
use store::Store;
use tokio::sync::Notify;
use vault_api::keys::KeyInfo;

use crate::checkout::config::Checkout;
use crate::connectors::Acquirer;
use crate::conversion::Conversions;
use crate::error::Error;
use crate::queue::Queue;
use crate::routing::Routes;
use crate::seal::Seal;
use crate::three_ds::ThreeDs;
use crate::vault::Vault;

/// How long a looked-up key is believed: a revoked one works no longer than this.
const KEY_CACHE: Duration = Duration::from_secs(5);
const KEY_CACHE_SIZE: usize = 10_000;

/// The program's state; cheap to clone.
pub type App = Arc<Shared>;

/// See [`App`].
pub struct Shared {
    pub store: Store,
    pub clock: Clock,
    pub vault: Vault,
    pub seal: Seal,
    /// In the order of preference.
    pub acquirers: Vec<Acquirer>,
    pub metrics: Metrics,
    /// Rung when there is something new to deliver.
    pub deliver: Notify,
    /// Rung when there is something new to resolve.
    pub resolve: Notify,
    /// Confirmations that were accepted and answered.
    pub queue: Queue,
    pub keys: KeyCache,
    pub routes: Routes,
    /// The fraud rules.
    pub risk: crate::risk::Rules,
    /// Who is paid in another currency than buyers pay in, when that is set up.
    pub conversions: Option<Conversions>,
    /// Proxies of the operator's, whose word on the client's address is taken.
    pub proxies: Vec<std::net::IpAddr>,
    /// Whether test mode may deliver webhooks to this machine.
    pub webhook_loopback: bool,
    /// 3-D Secure, when it is set up.
    pub three_ds: Option<ThreeDs>,
    /// Where spans go.
    pub traces: Traces,
    /// The hosted page, when it is set up.
    pub checkout: Option<Checkout>,
}

impl Shared {
    /// The acquirer with this name, whoever asks.
    pub fn acquirer_named(&self, name: &str) -> Option<&Acquirer> {
        self.acquirers
            .iter()
            .find(|acquirer| acquirer.name() == name)
    }

    /// The acquirer that a payment was made with.
    pub fn acquirer(&self, name: &str) -> Result<&Acquirer, Error> {
        let found = self
            .acquirers
            .iter()
            .find(|acquirer| acquirer.name() == name);
        found.ok_or_else(|| {
            tracing::error!(
                acquirer = name,
                "a payment's acquirer is missing in the acquirers file"
            );
            Error::Internal("the payment's acquirer is not configured")
        })
    }
}

/// Keys looked up at the vault within the last seconds, by their hash.
#[derive(Default)]
pub struct KeyCache(Mutex<HashMap<String, (Instant, KeyInfo)>>);

impl KeyCache {
    /// A fresh enough answer.
    pub fn get(&self, sha256: &str) -> Option<KeyInfo> {
        let cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, info) = cache.get(sha256)?;
        (at.elapsed() < KEY_CACHE).then(|| info.clone())
    }

    /// Remembers an answer.
    pub fn put(&self, sha256: String, info: KeyInfo) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= KEY_CACHE_SIZE {
            cache.retain(|_, (at, _)| at.elapsed() < KEY_CACHE);
        }
        cache.insert(sha256, (Instant::now(), info));
    }
}

/// Whose objects a call may see: every query is bound to both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub merchant: String,
    pub livemode: bool,
}

/// The API call that caused something, as Stripe's `event.request` has it.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    pub request_id: Option<String>,
    pub idempotency_key: Option<String>,
}
