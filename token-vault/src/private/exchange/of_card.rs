//! A stored card, used for one payment, with a fresh security code if there is one.

use card::Brand;
use pan::Cvv;
use store::Tx;
use vault_api::Code;
use vault_api::tokens::{CardSummary, Purpose};

use super::issue::take_cvv;
use super::{Answer, Work};
use crate::Error;
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
        self.once(tx, &stored.id, |tx, grant| {
            if stored.status == "pending" {
                return Err(Code::NotFound.into());
            }
            let tenant = self.app.tenants.by_id(&sealed.key_id)?;
            let place = Place {
                kind: "stored_card",
                record: &stored.id,
                expires_at: 0,
            };
            let opened = tenant.open_card(place, &sealed)?;
            let cvv = self.fresh_cvv(tx, &stored.card)?;
            self.issue(tx, grant, &opened, &stored.card, cvv)
        })
    }

    // A stored card has no CVV; a token brings one, of a security code alone or of a whole card, and is used up by it.
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
        if row.state == "revoked" {
            return Err(Code::TokenRevoked.into());
        }
        self.check_binding(&row.binding)?;
        if !tokens::take(tx, self.macs(), &mut row, &used)? {
            return Err(Code::TokenExpired.into());
        }
        let (epoch, cvv) = take_cvv(&self.app, tx, token, self.now)?.ok_or(Code::CvcGone)?;
        // It was typed without the card: three digits or four is only known here.
        if !cvv.fits(Brand::from_id(&card.brand).unwrap_or(Brand::Unknown)) {
            return Err(Code::InvalidCvc.into());
        }
        Ok(Some((epoch, cvv)))
    }
}
