//! What a vault does with CVVs (`--cvv-mode`), and whether one outlives the first complete answer (`--cvv-retry`).
//!
//! PCI DSS 3.3.1 ends a CVV with the authorisation, so its row goes with the first complete answer. With
//! `--cvv-retry memory` a decline or a step-up leaves it in this process's memory, for the same grant, still sealed
//! under its epoch's key and the grant's secret, and never longer than its epoch: a restart, an approval or a quarter
//! of an hour ends it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::crypto::cvv::SealedCvv;

/// Whether this vault takes CVVs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CvvMode {
    /// They are taken, sealed and sent once.
    #[default]
    On,
    /// They are dropped on arrival; an operation that asks for one is told `cvc_gone`.
    Off,
}

/// Whether a CVV may be sent again after a first complete answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CvvRetry {
    /// From the memory of this process, within its epoch, until an approval.
    Memory,
    /// No: payments goes on without it or asks the buyer.
    #[default]
    Off,
}

/// What the operator decided, and the CVVs that wait for a second send.
#[derive(Default)]
pub struct CvvPolicy {
    /// Whether CVVs are taken.
    pub mode: CvvMode,
    /// Whether they live on.
    pub retry: CvvRetry,
    waiting: Mutex<HashMap<String, SealedCvv>>,
}

impl CvvPolicy {
    /// A policy with nothing waiting.
    #[must_use]
    pub fn new(mode: CvvMode, retry: CvvRetry) -> Self {
        Self {
            mode,
            retry,
            ..Self::default()
        }
    }

    /// Keeps a grant's CVV for a second send, if that is allowed.
    pub fn keep(&self, grant: &str, cvv: SealedCvv, now: i64) {
        if self.retry == CvvRetry::Memory && cvv.expires_at() > now {
            self.lock().insert(grant.to_owned(), cvv);
        }
    }

    /// The CVV that waits for this grant.
    #[must_use]
    pub fn find(&self, grant: &str, now: i64) -> Option<SealedCvv> {
        let found = self.lock().get(grant).cloned();
        found.filter(|cvv| cvv.expires_at() > now)
    }

    /// Ends it.
    pub fn forget(&self, grant: &str) {
        self.lock().remove(grant);
    }

    /// Ends those whose epoch is over.
    pub fn destroy_old(&self, now: i64) {
        self.lock().retain(|_, cvv| cvv.expires_at() > now);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, SealedCvv>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
