//! Token buckets in a table of fixed size.
//!
//! A bucket is one number, the time at which it will be full again (GCRA), so an untouched bucket needs no place in the
//! table and a flood of addresses cannot grow it: when a set of places is full, the fullest bucket gives way.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Mutex, PoisonError};

/// Sets of places, and places in a set: 65,536 buckets of 16 bytes.
const SETS: usize = 8192;
const WAYS: usize = 8;

/// So many requests in so many seconds; a burst may take them all at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quota {
    pub most: u32,
    pub seconds: u32,
}

/// A bucket after one was taken from it, or could not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub allowed: bool,
    pub left: i64,
    /// Milliseconds until the bucket is full (allowed), or has one again (refused).
    pub wait_ms: i64,
}

/// Buckets by key, in a table of fixed size.
pub(super) struct Table {
    hasher: RandomState,
    sets: Vec<Mutex<[Place; WAYS]>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    hash: u64,
    /// When the bucket is full again, microseconds.
    full_at: i64,
}

impl Table {
    /// All buckets full.
    pub fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            sets: (0..SETS).map(|_| Mutex::default()).collect(),
        }
    }

    /// What taking one would give.
    pub fn look(&self, key: &(&str, &str), quota: Quota, now_ms: i64) -> Taken {
        let hash = self.hasher.hash_one(key);
        let set = &self.sets[(hash >> 32) as usize % SETS];
        let places = set.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.iter().find(|place| place.hash == hash);
        let mut full_at = place.map_or(0, |place| place.full_at);
        take_one(&mut full_at, quota, now_ms.saturating_mul(1000))
    }

    /// Takes one, if there is one.
    pub fn take(&self, key: &(&str, &str), quota: Quota, now_ms: i64) -> Taken {
        let hash = self.hasher.hash_one(key);
        let set = &self.sets[(hash >> 32) as usize % SETS];
        let mut places = set.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match places.iter().position(|place| place.hash == hash) {
            Some(at) => &mut places[at],
            None => {
                let fullest = (0..WAYS).min_by_key(|at| places[*at].full_at).unwrap_or(0);
                places[fullest] = Place { hash, full_at: 0 };
                &mut places[fullest]
            }
        };
        take_one(&mut place.full_at, quota, now_ms.saturating_mul(1000))
    }
}

fn take_one(full_at: &mut i64, quota: Quota, now: i64) -> Taken {
    let window = i64::from(quota.seconds) * 1_000_000;
    let each = (window / i64::from(quota.most)).max(1);
    // A clock that was set back must not shut anybody out.
    let from = if *full_at > now + window {
        now
    } else {
        (*full_at).max(now)
    };
    let full = from + each;
    let over = full - now - window;
    if over > 0 {
        return Taken {
            allowed: false,
            left: 0,
            wait_ms: (over + 999) / 1000,
        };
    }
    *full_at = full;
    Taken {
        allowed: true,
        left: (window - (full - now)) / each,
        wait_ms: (full - now + 999) / 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Quota = Quota {
        most: 10,
        seconds: 60,
    };

    #[test]
    fn a_bucket_empties_and_fills() {
        let table = Table::new();
        let key = ("rule", "a");
        for left in (0..10).rev() {
            assert_eq!(table.take(&key, TEN, 1_000_000).left, left);
        }
        let refused = table.take(&key, TEN, 1_000_000);
        assert_eq!((refused.allowed, refused.wait_ms), (false, 6_000));
        assert!(table.take(&("rule", "b"), TEN, 1_000_000).allowed);
        assert!(!table.take(&key, TEN, 1_005_999).allowed);
        assert!(table.take(&key, TEN, 1_006_000).allowed);
        assert!(!table.take(&key, TEN, 1_006_000).allowed);
        // A minute later it is full, and no fuller.
        assert_eq!(table.take(&key, TEN, 2_000_000).left, 9);
        // The clock is set back an hour.
        assert!(table.take(&key, TEN, 0).allowed);
    }

    #[test]
    fn a_flood_of_addresses_neither_grows_the_table_nor_frees_an_offender() {
        let table = Table::new();
        let size = || table.sets.len() * WAYS;
        let before = size();
        let offender = ("rule", "offender");
        while table.take(&offender, TEN, 1_000_000).allowed {}
        for n in 0..500_000 {
            table.take(&("rule", &n.to_string()), TEN, 1_000_000);
        }
        assert_eq!(size(), before);
        assert!(!table.take(&offender, TEN, 1_000_000).allowed);
    }
}
