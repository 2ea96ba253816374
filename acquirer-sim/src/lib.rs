//! The bank side: three acquirers, each with a dialect of its own, and the issuers behind them.
//!
//! Each keeps its part of the [`book`]; the [`issuer`] decides by test card; a [dialect](dialects) only translates for
//! the [`desk`]. [`three_ds`] is the directory server and the issuers' access control server. [`faults`] make it misbehave on demand, [`notify`] tells the processor what it did not ask for, and
//! [`admin`] shows what is known. A bank may hold a card number while it
//! decides; the book never does: it keeps brand, last four digits and a keyed hash ([`CardKey`]).

mod acquirer;
mod admin;
mod book;
mod cards;
mod desk;
mod dialects;
mod faults;
mod issuer;
mod keys;
mod notify;
mod three_ds;

pub use acquirer::Acquirer;
pub use keys::{ApiKey, CardKey, Keys};
pub use notify::Targets;
pub use three_ds::Settings as ThreeDs;

use std::sync::{Arc, OnceLock};

use axum::{Router, middleware};
use service::{Clock, headers};
use store::{Location, Store};

/// The running bank; cheap to clone.
#[derive(Clone)]
pub struct Bank(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    keys: Keys,
    card_key: CardKey,
    faults: faults::Queue,
    metrics: service::health::Metrics,
    three_ds: OnceLock<three_ds::Servers>,
}

impl Bank {
    /// Opens the book.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub async fn open(
        location: Location,
        clock: Clock,
        keys: Keys,
        card_key: CardKey,
    ) -> anyhow::Result<Self> {
        // Opening blocks (and PostgreSQL's client brings a run time of its own): not on an async thread.
        let store = tokio::task::spawn_blocking(move || Store::open(&location, book::MIGRATIONS));
        Ok(Self(Arc::new(Inner {
            store: store.await??,
            clock,
            keys,
            card_key,
            faults: faults::Queue::default(),
            metrics: service::health::Metrics::default(),
            three_ds: OnceLock::new(),
        })))
    }

    /// Starts directory server and access control server. Without it their endpoints answer that they are not there.
    #[must_use]
    pub fn with_three_ds(self, settings: ThreeDs) -> Self {
        // A second call changes nothing.
        let _ = self.0.three_ds.set(three_ds::Servers::new(settings));
        self
    }

    fn three_ds_servers(&self) -> Result<&three_ds::Servers, dialects::Problem> {
        self.0
            .three_ds
            .get()
            .ok_or(dialects::Problem::NO_SUCH_ROUTE)
    }

    /// Tells the processor what it did not ask for, and ends disputes by the clock; until `stop`.
    pub async fn run(&self, targets: Targets, stop: service::listen::Stop) {
        notify::run(self, &targets, stop).await;
    }

    /// What merchants' processors call: every dialect; and what browsers see of 3-D Secure.
    pub fn router(&self) -> Router {
        dialects::routes(self)
            .merge(three_ds::routes(self))
            .layer(middleware::from_fn(headers::standard))
    }

    /// Health, the book, the faults, and a page to look at.
    pub fn admin_router(&self) -> Router {
        admin::routes(self).layer(middleware::from_fn(headers::standard))
    }
}
