//! What a running vault holds; cheap to clone into handlers.

use std::sync::Arc;

use service::Clock;
use service::health::Metrics;
use store::Store;

use crate::audit::refusals::Refusals;
use crate::crypto::cvv::Epochs;
use crate::crypto::root::Root;
use crate::crypto::sealing::SealingKeys;
use crate::forward::Destinations;
use crate::forward::retry::CvvPolicy;
use crate::funding::FundingTable;
use crate::http::KeyCache;
use crate::http::doors::Doors;
use crate::public::FrameFiles;
use crate::replicas::Replicas;
use crate::tenants::TenantKeys;

/// The vault.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// Its parts.
pub struct Parts {
    /// All rows.
    pub store: Store,
    /// Wraps tenant keys.
    pub root: Root,
    /// Tenant keys that were unwrapped.
    pub tenants: TenantKeys,
    /// API keys that were looked up within this second.
    pub keys: KeyCache,
    /// Keys of CVVs.
    pub epochs: Epochs,
    /// The other processes on this database.
    pub replicas: Replicas,
    /// Keys that browsers seal to.
    pub sealing: SealingKeys,
    /// Where cards may be sent.
    pub destinations: Destinations,
    /// What is done with CVVs, and those that wait for a second send.
    pub cvvs: CvvPolicy,
    /// Funding by BIN.
    pub funding: FundingTable,
    /// Loader, frame document and assets.
    pub frame: FrameFiles,
    /// The time.
    pub clock: Clock,
    /// Refusals of this minute, for the audit.
    pub refusals: Refusals,
    /// Counters.
    pub metrics: Metrics,
    /// What guards the listeners.
    pub doors: Doors,
    /// Names this process in the attempts that it sends.
    pub process: String,
}

impl App {
    /// A vault of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
