//! CVVs: sealed under a key that lives only in memory and dies with its epoch (PCI DSS 3.3.1, 3.3.2).
//!
//! Epochs start every 5 minutes; an epoch's key is destroyed 20 minutes after its start. A CVV is sealed under
//! HKDF(epoch key, bearer secret, record id), so it takes the process's memory, the token and the database together
//! to read one, and after the epoch nothing does, backups included. A restart loses CVVs and nothing else.
//!
//! Each process has epoch keys of its own, so nothing needs to be agreed on; they are handed to the other replicas
//! ahead of time (`crate::replicas`).

use std::sync::{Mutex, MutexGuard, PoisonError};

use card::Brand;
use pan::Cvv;
use zeroize::Zeroizing;

use super::locked::LockedKey;
use super::{CannotOpen, Key, derive, envelope, random};

/// Seconds between epochs.
pub const EPOCH: i64 = 5 * 60;

/// Seconds from an epoch's start to its key's end.
pub const LIFE: i64 = 20 * 60;

/// A key is made this many seconds before its epoch, so that the other replicas have it when it is used.
const AHEAD: i64 = 60;

/// The epoch keys that this process has: its own, and those of other replicas.
pub struct Epochs {
    process: String,
    keys: Mutex<Vec<EpochKey>>,
}

struct EpochKey {
    id: String,
    epoch: i64,
    own: bool,
    key: LockedKey,
}

/// A key on its way to another replica.
pub struct Shared {
    /// Names it.
    pub id: String,
    /// Its epoch.
    pub epoch: i64,
    /// The key.
    pub key: Key,
}

impl Default for Epochs {
    /// The epochs of a process that nobody else must name.
    fn default() -> Self {
        Self::new(&vault_api::ids::new_id("proc"))
    }
}

/// A CVV at rest.
#[derive(Clone)]
pub struct SealedCvv {
    /// The epoch whose key seals it.
    pub epoch: i64,
    /// Which of that epoch's keys.
    pub key: String,
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
    /// No keys yet.
    #[must_use]
    pub fn new(process: &str) -> Self {
        Self {
            process: process.to_owned(),
            keys: Mutex::default(),
        }
    }

    /// Makes this epoch's key and, shortly before it starts, the next one's.
    pub fn prepare(&self, now: i64) {
        self.destroy_old(now);
        self.own(now.div_euclid(EPOCH));
        self.own((now + AHEAD).div_euclid(EPOCH));
    }

    /// Every key that lives for longer than `margin` seconds, to be handed to the other replicas.
    #[must_use]
    pub fn shared(&self, now: i64, margin: i64) -> Vec<Shared> {
        self.destroy_old(now);
        self.lock()
            .iter()
            .filter(|key| key.epoch * EPOCH + LIFE > now + margin)
            .map(|key| Shared {
                id: key.id.clone(),
                epoch: key.epoch,
                key: key.key.copy(),
            })
            .collect()
    }

    /// Takes in another replica's key. It opens CVVs; this process seals under its own.
    pub fn learn(&self, shared: &Shared, now: i64) {
        let over = shared.epoch * EPOCH + LIFE <= now;
        if !over && !self.knows(&shared.id) {
            self.lock().push(EpochKey {
                id: shared.id.clone(),
                epoch: shared.epoch,
                own: false,
                key: LockedKey::new(&shared.key),
            });
        }
    }

    /// Whether this process has the key.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.lock().iter().any(|key| key.id == id)
    }

    /// The process whose key this is, by the key's id.
    #[must_use]
    pub fn process_of(id: &str) -> &str {
        id.split('.').next().unwrap_or(id)
    }

    /// Seals a CVV under the current epoch for the holder of `secret`.
    #[must_use]
    pub fn seal(&self, cvv: &Cvv, secret: &str, record: &str, now: i64) -> SealedCvv {
        self.seal_in(now.div_euclid(EPOCH), cvv, secret, record, now)
            .unwrap_or(SealedCvv {
                epoch: 0,
                key: String::new(),
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
        self.destroy_old(now);
        let key = self.find(|key| key.id == at_rest.key && key.epoch == at_rest.epoch);
        let key = derive(
            &key.ok_or(CannotOpen)?.1[..],
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
        self.lock().retain(|key| key.epoch * EPOCH + LIFE > now);
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
        self.destroy_old(now);
        if epoch == now.div_euclid(EPOCH) {
            self.own(epoch);
        }
        let own = self.find(|key| key.epoch == epoch && key.own);
        let (id, key) = own.or_else(|| self.find(|key| key.epoch == epoch))?;
        let key = derive(
            &key[..],
            &[b"cardseal/cvv/1", secret.as_bytes(), record.as_bytes()],
        );
        Some(SealedCvv {
            epoch,
            key: id,
            sealed: envelope::seal(&key, record.as_bytes(), cvv.expose().as_bytes()),
        })
    }

    // Makes the process's own key of an epoch, unless it has one.
    fn own(&self, epoch: i64) {
        let mut keys = self.lock();
        if !keys.iter().any(|key| key.own && key.epoch == epoch) {
            keys.push(EpochKey {
                id: format!("{}.{epoch}", self.process),
                epoch,
                own: true,
                key: LockedKey::new(&Zeroizing::new(random())),
            });
        }
    }

    fn find(&self, which: impl Fn(&EpochKey) -> bool) -> Option<(String, Key)> {
        let keys = self.lock();
        let key = keys.iter().find(|key| which(key))?;
        Some((key.id.clone(), key.key.copy()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<EpochKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
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
