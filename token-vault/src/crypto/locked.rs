//! Keys in locked memory: a page each that is never swapped out, wiped when it is freed.

use std::sync::Once;

use zeroize::{Zeroize as _, Zeroizing};

use super::Key;

/// A key on a page of its own.
pub struct LockedKey {
    page: Box<Page>,
    // Unlocks the page when dropped, after it was wiped. None where the system refused to lock.
    lock: Option<region::LockGuard>,
}

// Aligned to what is a page on most machines; on larger pages the lock covers neighbours too, which does no harm.
#[repr(align(4096))]
struct Page([u8; 32]);

impl LockedKey {
    /// Copies the key to a locked page.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        let mut page = Box::new(Page([0; 32]));
        let lock = region::lock(std::ptr::from_ref(&*page), size_of::<Page>());
        if let Err(error) = &lock {
            warn_once(error);
        }
        page.0.copy_from_slice(&key[..]);
        Self {
            page,
            lock: lock.ok(),
        }
    }

    /// A copy for the moment of use.
    #[must_use]
    pub fn copy(&self) -> Key {
        Zeroizing::new(self.page.0)
    }

    /// Whether the page is locked.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }
}

impl Drop for LockedKey {
    fn drop(&mut self) {
        self.page.0.zeroize();
        self.lock = None;
    }
}

fn warn_once(error: &region::Error) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(%error, "keys could not be locked in memory and might be swapped out; raise RLIMIT_MEMLOCK (LimitMEMLOCK=) or switch swap off");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_on_a_locked_page() {
        let key = LockedKey::new(&Zeroizing::new([7; 32]));
        assert_eq!(*key.copy(), [7; 32]);
        // The kernel counts what this process has locked (Linux).
        if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
            let locked = status.lines().find(|line| line.starts_with("VmLck:"));
            let kb = locked
                .and_then(|line| line.split_whitespace().nth(1))
                .and_then(|kb| kb.parse::<u64>().ok());
            assert_eq!(key.is_locked(), kb.unwrap_or(0) >= 4, "{locked:?}");
        }
    }
}
