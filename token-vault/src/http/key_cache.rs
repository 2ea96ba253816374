//! Keys that were looked up within this second of the vault's clock: a busy caller costs one read a second, and a key
//! that ends or is revoked is refused within that second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use vault_api::keys::KeyInfo;

/// A key's hash, and the merchant that a service key names.
type Presented = (String, Option<String>);

/// The keys, with the merchant each acts for. Only keys that were good are kept, so guessing fills nothing.
#[derive(Default)]
pub struct KeyCache(Mutex<Second>);

#[derive(Default)]
struct Second {
    number: i64,
    keys: HashMap<Presented, (KeyInfo, String)>,
}

impl KeyCache {
    /// What was found this second.
    #[must_use]
    pub fn get(&self, presented: &Presented, now: i64) -> Option<(KeyInfo, String)> {
        let second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.number == now {
            second.keys.get(presented).cloned()
        } else {
            None
        }
    }

    /// Keeps what was found; what is of another second goes.
    pub fn put(&self, presented: Presented, found: (KeyInfo, String), now: i64) {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.number != now {
            second.keys.clear();
            second.number = now;
        }
        second.keys.insert(presented, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault_api::keys::{Kind, Mode};

    #[test]
    fn a_key_is_kept_for_its_second_only() {
        let info = KeyInfo {
            id: "key_1".into(),
            merchant: "mer_1".into(),
            merchant_name: String::new(),
            mode: Mode::Test,
            kind: Kind::Secret,
            scopes: vec![],
            origins: vec![],
        };
        let cache = KeyCache::default();
        let presented = ("hash".to_owned(), None);
        cache.put(presented.clone(), (info, "mer_1".into()), 10);
        assert!(cache.get(&presented, 10).is_some());
        assert!(cache.get(&presented, 11).is_none());
        assert!(cache.get(&("other".to_owned(), None), 10).is_none());
        let named = ("hash".to_owned(), Some("mer_2".to_owned()));
        assert!(cache.get(&named, 10).is_none());
    }
}
