//! An acquirer's health, as this process sees it: a bulkhead (so many calls at once and no more), a circuit breaker,
//! and its recent success. Nothing of it is shared between acquirers, so one that hangs takes only its own permits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many of the last calls are remembered.
const WINDOW: u32 = 20;
/// The breaker opens after so many failures in a row, or when half of a full window failed.
const IN_A_ROW: u32 = 5;

/// See the module.
pub struct Health {
    most: usize,
    open_ms: i64,
    sends: Arc<Semaphore>,
    calls: Arc<Semaphore>,
    state: Mutex<Seen>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    /// One bit a call, the last one lowest: 1 is a failure.
    window: u32,
    calls: u32,
    in_a_row: u32,
    /// Milliseconds; 0: closed.
    open_until: i64,
    /// A call is out to see whether it works again.
    probing: bool,
    approved: u64,
    decided: u64,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Approved,
    Declined,
    /// No connection, or no valid answer.
    Failed,
}

impl Health {
    /// At most `most` sends and as many direct calls at once; an open breaker lets one through after `open_ms`.
    pub fn new(most: usize, open_ms: i64) -> Self {
        Self {
            most,
            open_ms,
            sends: Arc::new(Semaphore::new(most)),
            calls: Arc::new(Semaphore::new(most)),
            state: Mutex::default(),
        }
    }

    /// A permit to send a card; None when all are taken.
    pub fn send(&self) -> Option<OwnedSemaphorePermit> {
        self.sends.clone().try_acquire_owned().ok()
    }

    /// A permit for a direct call; None when all are taken.
    pub fn call(&self) -> Option<OwnedSemaphorePermit> {
        self.calls.clone().try_acquire_owned().ok()
    }

    /// Whether all sends are taken.
    pub fn is_full(&self) -> bool {
        self.sends.available_permits() == 0
    }

    /// Sends under way.
    pub fn in_flight(&self) -> usize {
        self.most - self.sends.available_permits()
    }

    /// Whether the breaker is open at `now_ms`. Once its time is over it lets one call through.
    pub fn is_open(&self, now_ms: i64) -> bool {
        let seen = self.seen();
        seen.open_until != 0 && (now_ms < seen.open_until || seen.probing)
    }

    /// Marks that a call goes out: on a breaker whose time is over, it is the one that probes.
    pub fn begins(&self, now_ms: i64) {
        let mut seen = self.seen();
        if seen.open_until != 0 && now_ms >= seen.open_until {
            seen.probing = true;
        }
    }

    /// Notes what came of a send. True when the breaker opened or closed.
    pub fn ended(&self, ending: Ending, now_ms: i64) -> bool {
        let mut seen = self.seen();
        let failed = ending == Ending::Failed;
        seen.window = (seen.window << 1 | u32::from(failed)) & ((1 << WINDOW) - 1);
        seen.calls = (seen.calls + 1).min(WINDOW);
        seen.in_a_row = if failed { seen.in_a_row + 1 } else { 0 };
        if !failed {
            seen.decided += 1;
            seen.approved += u64::from(ending == Ending::Approved);
        }
        let was_open = seen.open_until != 0;
        let too_many = seen.calls == WINDOW && seen.window.count_ones() * 2 >= WINDOW;
        seen.probing = false;
        if failed && (was_open || seen.in_a_row >= IN_A_ROW || too_many) {
            seen.open_until = now_ms + self.open_ms;
        } else if !failed && was_open {
            *seen = Seen {
                approved: seen.approved,
                decided: seen.decided,
                ..Seen::default()
            };
        }
        was_open != (seen.open_until != 0)
    }

    /// The share of the last calls that were answered, never quite 0: who is never asked can never recover.
    pub fn success(&self) -> f64 {
        let seen = self.seen();
        if seen.calls == 0 {
            return 1.0;
        }
        let failed = f64::from(seen.window.count_ones()) / f64::from(seen.calls);
        (1.0 - failed).max(0.02)
    }

    /// The share of decided payments that were approved, since the start.
    pub fn approval_rate(&self) -> Option<f64> {
        let seen = self.seen();
        (seen.decided > 0).then(|| seen.approved as f64 / seen.decided as f64)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulkhead_is_full_when_all_its_permits_are_out() {
        let (hung, other) = (Health::new(3, 1000), Health::new(3, 1000));
        let held: Vec<_> = (0..3).map(|_| hung.send().expect("a permit")).collect();
        assert!(hung.send().is_none() && hung.is_full());
        // Nobody else waits for it.
        assert!(other.send().is_some() && !other.is_full());
        // Inquiries have permits of their own: they find out what became of what hangs.
        assert!(hung.call().is_some());
        drop(held);
        assert!(hung.send().is_some());
        assert_eq!(hung.in_flight(), 0);
    }

    #[test]
    fn the_breaker_opens_probes_once_and_closes() {
        let health = Health::new(3, 1000);
        for n in 0..5 {
            assert!(!health.is_open(n));
            assert_eq!(health.ended(Ending::Failed, n), n == 4);
        }
        assert!(health.is_open(1003));
        assert!(!health.is_open(1004), "one may try");
        health.begins(1004);
        assert!(health.is_open(1005), "only one");
        health.ended(Ending::Failed, 1010);
        assert!(health.is_open(2009) && !health.is_open(2010));
        health.begins(2010);
        assert!(health.ended(Ending::Declined, 2011), "any answer closes it");
        assert!(!health.is_open(2012));
        assert!((health.success() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn half_of_the_last_twenty_opens_it_too() {
        let health = Health::new(3, 1000);
        for n in 0..20 {
            assert!(!health.is_open(n), "{n}");
            let ending = if n % 2 == 0 {
                Ending::Approved
            } else {
                Ending::Failed
            };
            health.ended(ending, n);
        }
        assert!(health.is_open(20));
        assert!((health.success() - 0.5).abs() < 0.01);
        assert_eq!(health.approval_rate(), Some(1.0));
    }
}
