//! Answers as they are kept for a replay: without a secret, and bound to their place.

use serde_json::Value;
use subtle::ConstantTimeEq as _;
use vault_api::Grant;
use vault_api::tokens::Exchanged;

use super::{Work, keyed_hash};
use crate::Error;
use crate::crypto::CannotOpen;

impl Work {
    // A recorded answer stands in a table that knows nothing of cards: a MAC binds it to its key and merchant, so that
    // no other answer can be put in its place.
    pub(super) fn bound(&self, scope: &str, answer: Vec<u8>) -> Vec<u8> {
        [&self.mac_of(scope, &answer)[..], &answer].concat()
    }

    pub(super) fn unbound<'a>(&self, scope: &str, kept: &'a [u8]) -> Result<&'a [u8], Error> {
        let (mac, answer) = kept.split_at_checked(32).ok_or(CannotOpen)?;
        if bool::from(mac.ct_eq(&self.mac_of(scope, answer))) {
            Ok(answer)
        } else {
            Err(CannotOpen.into())
        }
    }

    fn mac_of(&self, scope: &str, answer: &[u8]) -> [u8; 32] {
        let parts = [b"answer", scope.as_bytes(), self.key.as_bytes(), answer];
        keyed_hash(&self.app, &parts)
    }
}

pub(super) fn without_secret(exchanged: &Exchanged) -> Result<Value, Error> {
    let mut value = serde_json::to_value(exchanged)
        .map_err(|_| Error::Internal("an answer could not be written"))?;
    if let Some(grant) = &exchanged.grant {
        value["grant"]["id"] = Value::from(grant.id.public());
    }
    Ok(value)
}

pub(super) fn with_secret(mut answer: Value, grant: Option<&Grant>) -> Value {
    if let Some(grant) = grant {
        answer["grant"]["id"] = Value::from(grant.expose());
    }
    answer
}

pub(super) fn parse_answer(bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes)
        .map_err(|_| Error::Internal("a recorded answer could not be read"))
}
