//! An exchange of what is not used up by its use (a stored card, a published test token): one answer a key, for a day.

use store::Tx;
use store::idempotency::{self, Claim};
use vault_api::tokens::{Exchanged, Purpose};
use vault_api::{Code, Grant};

use super::answers::{parse_answer, with_secret, without_secret};
use super::request::purpose;
use super::{Answer, REPLAY, Work};
use crate::Error;
use crate::audit::{self, Act};

impl Work {
    /// Issues once; the same key and body again is the same answer. `object` names the source in the audit.
    pub(super) fn once(
        &self,
        tx: &mut Tx<'_>,
        object: &str,
        issue: impl FnOnce(&mut Tx<'_>, Option<&Grant>) -> Result<Exchanged, Error>,
    ) -> Result<Answer, Error> {
        let scope = format!("exchange:{}:{}", self.actor.merchant, self.mode);
        match idempotency::claim(
            tx,
            &scope,
            &self.key,
            &self.hash,
            self.now,
            self.now + REPLAY,
        )? {
            Claim::New => {}
            Claim::Replay { body, .. } => {
                let answer = parse_answer(self.unbound(&scope, &body)?)?;
                let grant = answer["grant"]["id"].as_str();
                let grant = grant.map(|public| self.grant_of(public));
                let answer = self.in_scope(answer);
                return Ok(Answer(with_secret(answer, grant.as_ref()), true));
            }
            Claim::Open => return Err(Code::Unavailable.into()),
            Claim::Mismatch => return Err(Code::IdempotencyMismatch.into()),
        }
        let grant = (self.body.purpose == Purpose::Payment)
            .then(|| self.grant_of(&format!("grant_{}", vault_api::ids::ordered_base62(16))));
        let exchanged = issue(tx, grant.as_ref())?;
        let answer = without_secret(&exchanged)?;
        let kept = self.bound(&scope, answer.to_string().into_bytes());
        idempotency::complete(tx, &scope, &self.key, 200, &kept)?;
        audit::record(
            tx,
            &self.actor,
            Act::Exchange,
            object,
            purpose(&self.body),
            self.now,
        )?;
        Ok(Answer(with_secret(answer, grant.as_ref()), false))
    }

    // Not from the tenant's key: a replay after a rotation gives the same grant.
    fn grant_of(&self, public: &str) -> Grant {
        let of = crate::crypto::length_prefixed(&[
            self.actor.merchant.as_bytes(),
            public.as_bytes(),
            self.key.as_bytes(),
        ]);
        let secret = self.app.root.derived("grant", &of);
        Grant::derived(public.trim_start_matches(Grant::PREFIX), &secret)
    }
}
