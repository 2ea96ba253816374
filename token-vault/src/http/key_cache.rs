//! Keys that were looked up within this second of the vault's clock: a busy caller costs one read a second, and a key
//! that ends, is revoked or rolled is refused when that second is over. Whether a request may use the key (its address,
//! its client certificate) is no part of this: that is asked of each request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::auth::Known;

/// A key's hash, and the merchant that a service key names.
type Presented = (String, Option<String>);

/// The keys, by what was presented. Only keys that were good are kept, so guessing fills nothing.
#[derive(Default)]
pub struct KeyCache(Mutex<Second>);

#[derive(Default)]
struct Second {
    number: i64,
    keys: HashMap<Presented, Arc<Known>>,
}

impl KeyCache {
    /// What was found this second.
    #[must_use]
    pub fn get(&self, presented: &Presented, now: i64) -> Option<Arc<Known>> {
        let second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.number == now {
            second.keys.get(presented).cloned()
        } else {
            None
        }
    }

    /// Keeps what was found; what is of another second goes.
    pub fn put(&self, presented: Presented, found: Arc<Known>, now: i64) {
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
        let info = vault_api::keys::KeyInfo {
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
        let known = Known {
            info,
            merchant: "mer_1".into(),
            addresses: vec![],
            certificate: None,
        };
        cache.put(presented.clone(), Arc::new(known), 10);
        assert!(cache.get(&presented, 10).is_some());
        assert!(cache.get(&presented, 11).is_none());
        assert!(cache.get(&("other".to_owned(), None), 10).is_none());
        let named = ("hash".to_owned(), Some("mer_2".to_owned()));
        assert!(cache.get(&named, 10).is_none());
    }
}
