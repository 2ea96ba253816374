//! A published test token, which never burns: each key gets a grant or a stored card of its own.

use store::Tx;
use vault_api::Code;

use super::{Answer, Work};
use crate::crypto::cvv::EPOCH;
use crate::crypto::envelope::{Holder, OpenedCard};
use crate::{Error, card_json, published};

impl Work {
    pub(super) fn of_published(&self, tx: &mut Tx<'_>) -> Result<Answer, Error> {
        let mode = self.app.root.mode();
        let card = published::card(&self.body.source, mode, self.now).ok_or(Code::NotFound)?;
        let summary = card_json::summary(&card);
        let opened = OpenedCard {
            number: card.number,
            holder: Holder::default(),
        };
        let cvv = card.cvc.map(|cvc| (self.now.div_euclid(EPOCH), cvc));
        self.once(tx, &self.body.source, |tx, grant| {
            self.issue(tx, grant, &opened, &summary, cvv)
        })
    }
}
