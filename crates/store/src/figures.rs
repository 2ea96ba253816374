//! What a store's queues are doing, for an operator's metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counters of one queue; they only ever grow.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    queued: AtomicU64,
    taken: AtomicU64,
    groups: AtomicU64,
    grouped: AtomicU64,
    micros: AtomicU64,
}

/// A reading of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Pieces of work that wait now.
    pub waiting: u64,
    /// Commits, each of one or more pieces of work; what only rolled back is none. On SQLite each is an fsync.
    pub commits: u64,
    /// Pieces of work that were done.
    pub committed: u64,
    /// Time spent on them, microseconds, the commits included.
    pub micros: u64,
}

impl Counters {
    pub(crate) fn queued(&self) {
        self.queued.fetch_add(1, Relaxed);
    }

    pub(crate) fn taken(&self, jobs: usize) {
        self.taken.fetch_add(jobs as u64, Relaxed);
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> u64 {
        // Taken first: a piece of work that is taken between the two must not count as minus one.
        let taken = self.taken.load(Relaxed);
        self.queued.load(Relaxed).saturating_sub(taken)
    }

    /// A commit was sent: on SQLite that is an fsync.
    pub(crate) fn commit(&self) {
        self.groups.fetch_add(1, Relaxed);
    }

    pub(crate) fn done(&self, jobs: usize, took: Duration) {
        self.grouped.fetch_add(jobs as u64, Relaxed);
        self.micros.fetch_add(took.as_micros() as u64, Relaxed);
    }

    pub(crate) fn read(&self) -> Figures {
        Figures {
            waiting: self.waiting(),
            commits: self.groups.load(Relaxed),
            committed: self.grouped.load(Relaxed),
            micros: self.micros.load(Relaxed),
        }
    }
}
