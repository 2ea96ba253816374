//! CVVs: sealed under a key that lives only in memory and dies with its epoch (PCI DSS 3.3.1, 3.3.2).
//!
//! Epochs start every 5 minutes; an epoch's key is destroyed 20 minutes after its start. A CVV is sealed under
//! HKDF(epoch key, bearer secret, record id), so it takes the process's memory, the token and the database together
//! to read one, and after the epoch nothing does, backups included. A restart loses CVVs and nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use card::Brand;
use pan::Cvv;
use zeroize::Zeroizing;

use super::{CannotOpen, Key, derive, envelope, random};

/// Seconds between epochs.
pub const EPOCH: i64 = 5 * 60;

/// Seconds from an epoch's start to its key's end.
pub const LIFE: i64 = 20 * 60;

/// The epoch keys of this process.
#[derive(Default)]
pub struct Epochs(Mutex<BTreeMap<i64, Key>>);

/// A CVV at rest.
#[derive(Clone)]
pub struct SealedCvv {
    /// The epoch whose key seals it.
    pub epoch: i64,
    /// The sealed digits.
    pub sealed: Vec<u8>,
}

impl SealedCvv {
    /// When the epoch's key ends, Unix seconds.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.epoch * EPOCH + LIFE
    }
}

impl Epochs {
    /// Seals a CVV under the current epoch for the holder of `secret`.
    #[must_use]
    pub fn seal(&self, cvv: &Cvv, secret: &str, record: &str, now: i64) -> SealedCvv {
        self.seal_in(now.div_euclid(EPOCH), cvv, secret, record, now)
            .unwrap_or(SealedCvv {
                epoch: 0,
                sealed: vec![],
            })
    }

    /// Opens a CVV.
    ///
    /// # Errors
    /// [`CannotOpen`] once the epoch is over, and for the wrong secret or record.
    pub fn open(
        &self,
        at_rest: &SealedCvv,
        secret: &str,
        record: &str,
        brand: Brand,
        now: i64,
    ) -> Result<Cvv, CannotOpen> {
        let key = self.key(at_rest.epoch, now).ok_or(CannotOpen)?;
        let key = derive(
            &key[..],
            &[b"cardseal/cvv/1", secret.as_bytes(), record.as_bytes()],
        );
        let plain = envelope::open(&key, record.as_bytes(), &at_rest.sealed)?;
        let digits = std::str::from_utf8(&plain).map_err(|_| CannotOpen)?;
        Cvv::parse(digits, brand).map_err(|_| CannotOpen)
    }

    /// Seals a CVV again for the holder of another secret, in the epoch it was in: its life is never extended.
    #[must_use]
    pub fn reseal(
        &self,
        epoch: i64,
        cvv: &Cvv,
        secret: &str,
        record: &str,
        now: i64,
    ) -> Option<SealedCvv> {
        self.seal_in(epoch, cvv, secret, record, now)
    }

    /// Destroys the keys whose time is over. Called on a timer, and before every use.
    pub fn destroy_old(&self, now: i64) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|epoch, _| epoch * EPOCH + LIFE > now);
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the CVV is encrypted"
    )]
    fn seal_in(
        &self,
        epoch: i64,
        cvv: &Cvv,
        secret: &str,
        record: &str,
        now: i64,
    ) -> Option<SealedCvv> {
        let key = self.key(epoch, now)?;
        let key = derive(
            &key[..],
            &[b"cardseal/cvv/1", secret.as_bytes(), record.as_bytes()],
        );
        Some(SealedCvv {
            epoch,
            sealed: envelope::seal(&key, record.as_bytes(), cvv.expose().as_bytes()),
        })
    }

    fn key(&self, epoch: i64, now: i64) -> Option<Key> {
        self.destroy_old(now);
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if epoch == now.div_euclid(EPOCH) {
            return Some(
                keys.entry(epoch)
                    .or_insert_with(|| Zeroizing::new(random()))
                    .clone(),
            );
        }
        keys.get(&epoch).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cvv_opens_within_its_epoch_and_never_after() {
        let epochs = Epochs::default();
        let cvv = Cvv::parse("123", Brand::Visa).expect("a CVV");
        let start = 1000 * EPOCH;
        let sealed = epochs.seal(&cvv, "secret", "tok_a", start + EPOCH - 1);
        assert!(
            epochs
                .open(&sealed, "secret", "tok_a", Brand::Visa, start + LIFE - 1)
                .is_ok()
        );
        assert!(
            epochs
                .open(&sealed, "secreT", "tok_a", Brand::Visa, start + 1)
                .is_err()
        );
        assert!(
            epochs
                .open(&sealed, "secret", "tok_b", Brand::Visa, start + 1)
                .is_err()
        );
        assert!(
            epochs
                .open(&sealed, "secret", "tok_a", Brand::Visa, start + LIFE)
                .is_err()
        );
        // The clock going back does not bring the key back.
        assert!(
            epochs
                .open(&sealed, "secret", "tok_a", Brand::Visa, start + 1)
                .is_err()
        );
    }

    #[test]
    fn resealing_does_not_extend_life() {
        let epochs = Epochs::default();
        let cvv = Cvv::parse("123", Brand::Visa).expect("a CVV");
        let start = 1000 * EPOCH;
        let first = epochs.seal(&cvv, "token", "tok_a", start);
        let second = epochs
            .reseal(first.epoch, &cvv, "grant", "grant_a", start + 600)
            .expect("its epoch lives");
        assert_eq!(second.expires_at(), start + LIFE);
        assert!(
            epochs
                .reseal(first.epoch, &cvv, "grant", "grant_a", start + LIFE)
                .is_none()
        );
    }

    #[test]
    fn another_process_has_other_keys() {
        let cvv = Cvv::parse("123", Brand::Visa).expect("a CVV");
        let sealed = Epochs::default().seal(&cvv, "secret", "tok_a", 5000);
        assert!(
            Epochs::default()
                .open(&sealed, "secret", "tok_a", Brand::Visa, 5001)
                .is_err()
        );
    }
}
