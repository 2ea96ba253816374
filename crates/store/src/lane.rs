//! Lanes: which connection a transaction runs on, and what the service gave to every one of them.
//!
//! A writer lane runs one transaction at a time, so what is kept per lane (a chain of audit events) never waits for
//! another lane's commit.

use std::any::Any;
use std::sync::{Arc, OnceLock};

/// What the service gave; empty until it did.
pub(crate) type Context = Arc<OnceLock<Arc<dyn Any + Send + Sync>>>;

/// A connection's number and the service's context.
#[derive(Clone, Default)]
pub(crate) struct Lane {
    /// None for a reader and for migrations.
    pub(crate) number: Option<u32>,
    pub(crate) context: Context,
}

impl Lane {
    pub(crate) fn writer(number: u32, context: &Context) -> Self {
        Self {
            number: Some(number),
            context: context.clone(),
        }
    }

    pub(crate) fn reader(context: &Context) -> Self {
        Self {
            number: None,
            context: context.clone(),
        }
    }
}
