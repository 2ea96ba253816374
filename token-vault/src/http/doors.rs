//! What guards the doors of a running vault: rate limits, and for each listener its own share of the work. A flood on
//! the public listener fills the public share and leaves the private one alone.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use vault_api::Code;

use super::limits::Limits;
use crate::Error;
use service::traces::Traces;

/// A request waits this long for its turn.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which door a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Browsers.
    Public,
    /// Merchants' servers and payments.
    Private,
    /// The operator.
    Admin,
}

impl Listener {
    /// Its name in metrics and descriptions.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Admin => "admin",
        }
    }
}

/// What guards the doors.
#[derive(Default)]
pub struct Doors {
    /// Rate limits of the public listener.
    pub limits: Limits,
    /// Requests that may be under way.
    pub shares: Shares,
    /// Where spans go.
    pub traces: Traces,
}

/// How many requests may be under way at once, by listener.
pub struct Shares {
    public: Arc<Semaphore>,
    private: Arc<Semaphore>,
}

impl Shares {
    /// So many on the public listener, so many on the private one.
    #[must_use]
    pub fn new(public: usize, private: usize) -> Self {
        Self {
            public: Arc::new(Semaphore::new(public)),
            private: Arc::new(Semaphore::new(private)),
        }
    }

    /// The listener's share; the operator's door has no limit.
    #[must_use]
    pub fn of(&self, listener: Listener) -> Option<Arc<Semaphore>> {
        match listener {
            Listener::Public => Some(Arc::clone(&self.public)),
            Listener::Private => Some(Arc::clone(&self.private)),
            Listener::Admin => None,
        }
    }
}

impl Default for Shares {
    fn default() -> Self {
        Self::new(128, 512)
    }
}

/// Waits for the listener's share, not for long.
pub async fn wait_for_turn(
    State(share): State<Option<Arc<Semaphore>>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(share) = share else {
        return next.run(request).await;
    };
    match tokio::time::timeout(PATIENCE, share.acquire()).await {
        Ok(Ok(_turn)) => next.run(request).await,
        _ => {
            let mut response = Error::from(Code::Unavailable).into_response();
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    }
}
