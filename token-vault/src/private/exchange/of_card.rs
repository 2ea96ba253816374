//! A stored card, used for one payment, with a fresh security code if there is one.

use pan::Cvv;
use store::Tx;
use store::idempotency::{self, Claim};
use vault_api::tokens::{CardSummary, Purpose};
use vault_api::{Code, Grant};

use super::answers::{parse_answer, with_secret, without_secret};
use super::issue::take_cvv;
use super::request::purpose;
use super::{Answer, REPLAY, Work};
use crate::Error;
use crate::audit::{self, Act};
use crate::crypto::envelope::Place;
use crate::records::row_mac::Read;
use crate::records::tokens::Use;
use crate::records::{cards, tokens};

impl Work {
    pub(super) fn of_card(&self, tx: &mut Tx<'_>) -> Result<Answer, Error> {
        if self.body.purpose != Purpose::Payment || self.body.store.is_some() {
            return Err(Code::InvalidRequest.into());
        }
        let (stored, sealed) =
            cards::find(tx, self.macs(), self.owner(), &self.body.source)?.ok_or(Code::NotFound)?;
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
                let grant = self.grant_of_card(answer["grant"]["id"].as_str().unwrap_or_default());
                let answer = self.in_scope(answer);
                return Ok(Answer(with_secret(answer, Some(&grant)), true));
            }
            Claim::Open => return Err(Code::Unavailable.into()),
            Claim::Mismatch => return Err(Code::IdempotencyMismatch.into()),
        }
        if stored.status == "pending" {
            return Err(Code::NotFound.into());
        }
        let grant = self.grant_of_card(&format!("grant_{}", vault_api::ids::random_base62(16)));
        let tenant = self.app.tenants.by_id(&sealed.key_id)?;
        let place = Place {
            kind: "stored_card",
            record: &stored.id,
            expires_at: 0,
        };
        let opened = tenant.open_card(place, &sealed)?;
        let cvv = self.fresh_cvv(tx, &stored.card)?;
        let exchanged = self.issue(tx, Some(&grant), &opened, &stored.card, cvv)?;
        let answer = without_secret(&exchanged)?;
        let kept = self.bound(&scope, answer.to_string().into_bytes());
        idempotency::complete(tx, &scope, &self.key, 200, &kept)?;
        audit::record(
            tx,
            &self.actor,
            Act::Exchange,
            &stored.id,
            purpose(&self.body),
            self.now,
        )?;
        Ok(Answer(with_secret(answer, Some(&grant)), false))
    }

    // A stored card has no CVV; a token that was made for this brings one, and is used up by it.
    fn fresh_cvv(&self, tx: &mut Tx<'_>, card: &CardSummary) -> Result<Option<(i64, Cvv)>, Error> {
        let Some(token) = &self.body.cvc_token else {
            return Ok(None);
        };
        let mut row = tokens::find(tx, self.macs(), self.owner(), token, Read::Change)?
            .ok_or(Code::NotFound)?;
        let used = Use {
            at: self.now,
            request: self.actor.request_id.clone(),
            key: self.key.clone(),
            hash: self.hash.to_vec(),
            answer: "{}".to_owned(),
        };
        if let Some(used) = &row.used {
            return Err(Error::AlreadyUsed {
                at: used.at,
                request: used.request.clone(),
            });
        }
        if !tokens::take(tx, self.macs(), &mut row, &used)? {
            return Err(Code::TokenExpired.into());
        }
        take_cvv(&self.app, tx, token, card, self.now)?
            .map_or(Err(Code::CvcGone.into()), |cvv| Ok(Some(cvv)))
    }

    // Not from the tenant's key: a replay after a rotation gives the same grant.
    fn grant_of_card(&self, public: &str) -> Grant {
        let of = crate::crypto::length_prefixed(&[
            self.actor.merchant.as_bytes(),
            public.as_bytes(),
            self.key.as_bytes(),
        ]);
        let secret = self.app.root.derived("grant", &of);
        Grant::derived(public.trim_start_matches(Grant::PREFIX), &secret)
    }
}
