//! One error type, two voices: a stable code for the client, detail for the log.

use axum::response::{IntoResponse, Response};
use vault_api::{Challenge, Code};

use crate::crypto::CannotOpen;
use crate::crypto::root::RootError;
use crate::tenants::Needed;

/// Why a request fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Refused: the client is told this code and nothing else.
    #[error("{}", .0.as_str())]
    Refused(Code),
    /// A token was used before: the client is told when and by which request.
    #[error("token already used")]
    AlreadyUsed {
        /// Unix seconds.
        at: i64,
        /// The request that used it.
        request: String,
    },
    /// A limit runs hot: the client is told which work lets the same request through.
    #[error("proof of work is needed")]
    WorkNeeded(Challenge),
    /// The store failed: logged, answered as `internal`.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Something at rest does not open: logged, answered as `internal`. Never another card.
    #[error(transparent)]
    CannotOpen(#[from] CannotOpen),
    /// A transaction needs a tenant key that is not unwrapped yet: [`crate::App::write`] fetches it and runs it again.
    #[error("a tenant key is needed")]
    KeyNeeded(Needed),
    /// A root key's provider failed: logged, answered as `unavailable`.
    #[error(transparent)]
    Root(RootError),
    /// Anything else that is our fault.
    #[error("{0}")]
    Internal(&'static str),
}

impl store::Retry for Error {
    fn may_retry(&self) -> bool {
        matches!(self, Self::Store(error) if error.may_retry())
    }
}

impl From<RootError> for Error {
    fn from(error: RootError) -> Self {
        match error {
            RootError::CannotOpen(error) => Self::CannotOpen(error),
            unavailable @ RootError::Unavailable(_) => Self::Root(unavailable),
        }
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self::Refused(code)
    }
}

/// What the client will be told; the outermost layer writes the body, because it knows the request id.
#[derive(Debug, Clone)]
pub struct Told {
    /// The code.
    pub code: Code,
    /// When a used token was used.
    pub used_at: Option<i64>,
    /// By which request.
    pub used_by_request: Option<String>,
    /// The work to show.
    pub challenge: Option<Challenge>,
}

impl From<Code> for Told {
    fn from(code: Code) -> Self {
        Self {
            code,
            used_at: None,
            used_by_request: None,
            challenge: None,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let told = match self {
            Self::Refused(code) => Told::from(code),
            Self::AlreadyUsed { at, request } => Told {
                used_at: Some(at),
                used_by_request: Some(request),
                ..Told::from(Code::TokenAlreadyUsed)
            },
            Self::WorkNeeded(challenge) => Told {
                challenge: Some(challenge),
                ..Told::from(Code::ProofOfWorkRequired)
            },
            Self::Store(error) => {
                tracing::error!(%error, "the store failed");
                Told::from(Code::Unavailable)
            }
            Self::CannotOpen(error) => {
                tracing::error!(%error, "a sealed value did not open");
                Told::from(Code::Internal)
            }
            Self::Root(error) => {
                tracing::error!(%error, "the root key's provider failed");
                Told::from(Code::Unavailable)
            }
            Self::KeyNeeded(_) => {
                tracing::error!("a tenant key was needed where none can be fetched");
                Told::from(Code::Internal)
            }
            Self::Internal(what) => {
                tracing::error!(what, "internal error");
                Told::from(Code::Internal)
            }
        };
        let mut response = http::StatusCode::OK.into_response();
        response.extensions_mut().insert(told);
        response
    }
}
