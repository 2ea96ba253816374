//! What a call makes, and the idempotency key that goes with it where the work itself claims it and keeps the answer, in its
//! own first and last transaction ([`super::idempotency::run_claiming`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use store::Tx;
use store::idempotency::Claim;

use super::idempotency::{Held, in_use, is_kept, mismatch};
use super::made::{Made, told};
use crate::app::Shared;
use crate::error::Error;

/// What a call makes, by its id, and the key that is claimed with it.
#[derive(Debug, Clone)]
pub struct Subject {
    pub id: String,
    /// Nothing can have been done for it before.
    pub is_fresh: bool,
    key: Option<Arc<Key>>,
}

/// A fresh subject's key, and what of it is committed.
#[derive(Debug)]
struct Key {
    held: Held,
    hash: [u8; 32],
    is_claimed: AtomicBool,
    is_answered: AtomicBool,
}

impl Subject {
    /// Of a call that was begun before: its key is claimed.
    pub fn resumed(id: String) -> Self {
        Self {
            id,
            is_fresh: false,
            key: None,
        }
    }

    /// Of a call that nobody has begun.
    pub fn fresh(id: String, key: Option<(Held, [u8; 32])>) -> Self {
        let key = key.map(|(held, hash)| {
            Arc::new(Key {
                held,
                hash,
                is_claimed: AtomicBool::new(false),
                is_answered: AtomicBool::new(false),
            })
        });
        Self {
            id,
            is_fresh: true,
            key,
        }
    }

    /// Whether the key is still to be claimed.
    pub fn is_unclaimed(&self) -> bool {
        self.key
            .as_ref()
            .is_some_and(|key| !is_set(&key.is_claimed))
    }

    /// Whether the answer is kept.
    pub fn is_answered(&self) -> bool {
        self.key
            .as_ref()
            .is_some_and(|key| is_set(&key.is_answered))
    }

    /// Claims the key, if it is not claimed yet: in the first transaction that changes anything. Refused when another call
    /// came first.
    pub fn claim(&self, tx: &mut Tx<'_>, now: i64) -> Result<(), Error> {
        let Some(key) = self.key.as_ref().filter(|key| !is_set(&key.is_claimed)) else {
            return Ok(());
        };
        match key.held.claim(tx, &key.hash, &self.id, now)? {
            Claim::New => Ok(()),
            Claim::Mismatch => Err(mismatch()),
            // Its answer is there for the next one who asks.
            Claim::Open | Claim::Replay { .. } => Err(in_use()),
        }
    }

    /// That transaction is committed.
    pub fn has_claimed(&self) {
        if let Some(key) = &self.key {
            key.is_claimed.store(true, Ordering::SeqCst);
        }
    }

    /// Keeps the answer for replays, in the transaction that makes it true.
    pub fn keep(
        &self,
        tx: &mut Tx<'_>,
        app: &Shared,
        answer: &Result<Made, Error>,
    ) -> Result<(), Error> {
        let (status, body) = told(answer);
        match &self.key {
            Some(key) if is_kept(status) => key.held.keep(tx, app, status, &body),
            _ => Ok(()),
        }
    }

    /// That transaction is committed.
    pub fn has_kept(&self) {
        if let Some(key) = &self.key {
            key.is_answered.store(true, Ordering::SeqCst);
        }
    }
}

fn is_set(flag: &AtomicBool) -> bool {
    flag.load(Ordering::SeqCst)
}
