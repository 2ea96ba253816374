//! The bank side: an acquirer that speaks several dialects, and the issuers behind it.
//!
//! The acquirer keeps one [`book`]; the [`issuer`] decides by test card; a [dialect](dialects) only translates.
//! [`three_ds`] is the directory server and the issuers' access control server. [`faults`] make it misbehave on demand, and [`admin`] shows what it knows. A bank may hold a card number while it
//! decides; the book never does: it keeps brand, last four digits and a keyed hash ([`CardKey`]).

mod admin;
mod book;
mod dialects;
mod faults;
mod issuer;
mod keys;
mod three_ds;

pub use keys::{ApiKey, CardKey};
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
    api_key: ApiKey,
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
        api_key: ApiKey,
        card_key: CardKey,
    ) -> anyhow::Result<Self> {
        // Opening blocks (and PostgreSQL's client brings a run time of its own): not on an async thread.
        let store = tokio::task::spawn_blocking(move || Store::open(&location, book::MIGRATIONS));
        Ok(Self(Arc::new(Inner {
            store: store.await??,
            clock,
            api_key,
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
