//! A token's one use.

use store::Tx;
use vault_api::tokens::Purpose;
use vault_api::{Code, Grant, Token};

use super::answers::{parse_answer, with_secret, without_secret};
use super::issue::take_cvv;
use super::request::purpose;
use super::{Answer, REPLAY, Work};
use crate::Error;
use crate::audit::{self, Act};
use crate::crypto::derive;
use crate::crypto::envelope::{OpenedCard, Place};
use crate::records::row_mac::Read;
use crate::records::tokens::{self, Binding, TokenRow, Use};

impl Work {
    pub(super) fn of_token(&self, tx: &mut Tx<'_>, token: &Token) -> Result<Answer, Error> {
        let mut row = tokens::find(tx, self.macs(), self.owner(), token, Read::Change)?
            .ok_or(Code::NotFound)?;
        if let Some(used) = &row.used {
            return self.replay_or_refuse(token, used);
        }
        if row.expires_at <= self.now {
            return Err(Code::TokenExpired.into());
        }
        if row.state == "revoked" {
            return Err(Code::TokenRevoked.into());
        }
        self.check_binding(&row.binding)?;

        let card = row.card.clone().ok_or(Code::TokenHoldsNoCard)?;
        let grant = (self.body.purpose == Purpose::Payment).then(|| self.grant_of_token(token));
        let opened = self.open_token(token, &row)?;
        let cvv = take_cvv(&self.app, tx, token, self.now)?;
        let exchanged = self.issue(tx, grant.as_ref(), &opened, &card, cvv)?;

        let answer = without_secret(&exchanged)?;
        let used = Use {
            at: self.now,
            request: self.actor.request_id.clone(),
            key: self.key.clone(),
            hash: self.hash.to_vec(),
            answer: answer.to_string(),
        };
        // The row is locked, so only time can have taken it since it was read.
        if !tokens::take(tx, self.macs(), &mut row, &used)? {
            return Err(Code::TokenExpired.into());
        }
        audit::record(
            tx,
            &self.actor,
            Act::Exchange,
            token.public(),
            purpose(&self.body),
            self.now,
        )?;
        Ok(Answer(with_secret(answer, grant.as_ref()), false))
    }

    fn replay_or_refuse(&self, token: &Token, used: &Use) -> Result<Answer, Error> {
        if used.key != self.key || self.now >= used.at + REPLAY {
            return Err(Error::AlreadyUsed {
                at: used.at,
                request: used.request.clone(),
            });
        }
        if used.hash != self.hash {
            return Err(Code::IdempotencyMismatch.into());
        }
        let grant = (self.body.purpose == Purpose::Payment).then(|| self.grant_of_token(token));
        let answer = self.in_scope(parse_answer(used.answer.as_bytes())?);
        Ok(Answer(with_secret(answer, grant.as_ref()), true))
    }

    fn open_token(&self, token: &Token, row: &TokenRow) -> Result<OpenedCard, Error> {
        let sealed = row.sealed.as_ref().ok_or(Code::TokenExpired)?;
        let tenant = self.app.tenants.by_id(&sealed.key_id)?;
        let place = Place {
            kind: "token",
            record: token.public(),
            expires_at: row.expires_at,
        };
        Ok(tenant.open_card(place, sealed)?)
    }

    pub(super) fn check_binding(&self, binding: &Binding) -> Result<(), Error> {
        fn fits<T: PartialEq>(bound: &Option<T>, asked: &Option<T>) -> bool {
            bound.is_none() || bound == asked
        }
        let body = &self.body;
        let fits = fits(&binding.intent, &body.intent)
            && fits(&binding.amount, &body.amount)
            && fits(&binding.currency, &body.currency);
        if fits {
            Ok(())
        } else {
            Err(Code::BindingMismatch.into())
        }
    }

    // A replay recomputes the grant, so no stored answer holds a secret.
    fn grant_of_token(&self, token: &Token) -> Grant {
        let secret = derive(
            token.secret().as_bytes(),
            &[b"cardseal/grant/1", self.key.as_bytes()],
        );
        Grant::derived(token.public().trim_start_matches(Token::PREFIX), &secret)
    }
}
