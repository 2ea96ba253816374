//! An endpoint's signing secrets, sealed in its row. A new one replaces the old with an overlap, in which both sign.

use zeroize::Zeroizing;

use super::sign::{new_secret, secret_of};
use crate::error::Error;
use crate::seal::Seal;

/// A secret in the clear; wiped when it is dropped.
pub type Plain = Zeroizing<String>;

/// The secrets as the row has them.
#[derive(Clone, Default)]
pub struct Secrets {
    /// None in a row that an older version made: `plain` holds it then.
    pub current: Option<Vec<u8>>,
    pub plain: String,
    /// The one before, and until when it signs too (Unix seconds).
    pub previous: Option<(Vec<u8>, i64)>,
}

impl Secrets {
    /// A new one for this endpoint.
    pub fn fresh(seal: &Seal, endpoint: &str) -> Self {
        Self::of(seal, endpoint, &new_secret())
    }

    /// This one.
    pub fn of(seal: &Seal, endpoint: &str, secret: &str) -> Self {
        Self {
            current: Some(seal.seal(endpoint, secret.as_bytes())),
            ..Self::default()
        }
    }

    /// The one that signs now.
    pub fn current(&self, seal: &Seal, endpoint: &str) -> Result<Plain, Error> {
        match &self.current {
            Some(sealed) => open(seal, endpoint, sealed),
            None => Ok(Zeroizing::new(self.plain.clone())),
        }
    }

    /// All that sign at `now`, the newest first.
    pub fn signing(&self, seal: &Seal, endpoint: &str, now: i64) -> Result<Vec<Plain>, Error> {
        let mut secrets = vec![self.current(seal, endpoint)?];
        if let Some((sealed, until)) = &self.previous
            && now < *until
        {
            secrets.push(open(seal, endpoint, sealed)?);
        }
        Ok(secrets)
    }

    /// Puts the secret of the call `subject` in the place of the current one, which signs until `until`. The same call
    /// again changes nothing.
    pub fn roll(
        &self,
        seal: &Seal,
        endpoint: &str,
        subject: &str,
        until: i64,
    ) -> Result<(Self, Plain), Error> {
        let parts = [endpoint.as_bytes(), subject.as_bytes()];
        let next = Zeroizing::new(secret_of(&seal.mac("webhook-secret", &parts)));
        let current = self.current(seal, endpoint)?;
        if *current == *next {
            return Ok((self.clone(), next));
        }
        let mut rolled = Self::of(seal, endpoint, &next);
        rolled.previous = Some((seal.seal(endpoint, current.as_bytes()), until));
        Ok((rolled, next))
    }
}

fn open(seal: &Seal, endpoint: &str, sealed: &[u8]) -> Result<Plain, Error> {
    let unreadable = Error::Internal(
        "a webhook secret cannot be opened: was --seal-key-file replaced? Delete the endpoint and make it again",
    );
    let bytes = seal.open(endpoint, sealed);
    let text = bytes.ok().and_then(|b| String::from_utf8(b.to_vec()).ok());
    text.map(Zeroizing::new).ok_or(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_one_signs_until_the_overlap_ends() {
        let seal = Seal::new(&[7; 32]);
        let first = Secrets::fresh(&seal, "we_1");
        let old = first.current(&seal, "we_1").expect("ours");
        let (rolled, new) = first.roll(&seal, "we_1", "roll_1", 100).expect("rolled");
        let signing = |at| rolled.signing(&seal, "we_1", at).expect("ours");
        assert_eq!(signing(99), [new.clone(), old.clone()]);
        assert_eq!(signing(100), std::slice::from_ref(&new));
        let (again, same) = rolled.roll(&seal, "we_1", "roll_1", 500).expect("rolled");
        assert_eq!(same, new);
        assert_eq!(again.signing(&seal, "we_1", 100).expect("ours").len(), 1);
        assert!(first.current(&seal, "we_2").is_err(), "bound to its row");
    }
}
