//! What an exchange brings into being: a grant, a stored card, or both.

use card::Brand;
use card::test_cards::Risk;
use pan::Cvv;
use store::Tx;
use vault_api::keys::Mode;
use vault_api::tokens::{CardSummary, Exchanged, GrantInfo, Purpose, Store, StoredCard, TestRisk};
use vault_api::{Grant, Token};

use super::Work;
use crate::crypto::cvv::SealedCvv;
use crate::crypto::envelope::{OpenedCard, Place, TenantKey};
use crate::records::grants::{self, NewGrant};
use crate::records::{cards, cvvs};
use crate::{App, Error, replicas};

impl Work {
    // Seals the card anew for each thing that comes into being; nothing shares a record key.
    pub(super) fn issue(
        &self,
        tx: &mut Tx<'_>,
        grant: Option<&Grant>,
        opened: &OpenedCard,
        card: &CardSummary,
        cvv: Option<(i64, Cvv)>,
    ) -> Result<Exchanged, Error> {
        let tenant = self
            .app
            .tenants
            .active(tx, &self.app.root, &self.actor.merchant)?;
        let fingerprint = self.fingerprint.then(|| {
            let secrets = self.app.root.secrets();
            secrets.fingerprint(&self.actor.merchant, &opened.number)
        });
        let is_test = self.mode == Mode::Test.as_str();
        let test_risk = self.test_risk(opened);
        let test_available_at_once = is_test && opened.number.test_available_at_once();
        let stored_card = self.store_card(tx, &tenant, opened, card)?;
        let Some(grant) = grant else {
            return Ok(Exchanged {
                grant: None,
                stored_card,
                card: card.clone(),
                fingerprint,
                test_risk,
                test_available_at_once,
            });
        };
        let pending = stored_card
            .as_ref()
            .filter(|stored| stored.status == "pending")
            .map(|stored| stored.id.as_str());
        let (amount, currency) = (
            self.body.amount.unwrap_or(0),
            self.body.currency.as_deref().unwrap_or(""),
        );
        let expires_at = self.now + grants::LIFE;
        let place = Place {
            kind: "grant",
            record: grant.public(),
            expires_at,
        };
        let sealed = tenant.seal_card(place, &opened.number, &opened.holder);
        let new = NewGrant {
            intent: self.body.intent.as_deref(),
            amount,
            currency,
            card,
            sealed: &sealed,
            pending_card: pending,
            expires_at,
        };
        grants::insert(tx, self.macs(), self.owner(), grant, &new, self.now)?;
        let cvv = cvv.and_then(|(epoch, cvv)| self.reseal(epoch, &cvv, grant));
        if let Some(cvv) = &cvv {
            cvvs::insert(tx, grant.public(), cvv)?;
        }
        let info = GrantInfo {
            id: grant.clone(),
            amount,
            currency: currency.to_owned(),
            expires_at,
            authorisations_left: grants::SENDS,
            authentications_left: grants::SENDS,
            cvc: cvv.is_some(),
        };
        Ok(Exchanged {
            grant: Some(info),
            stored_card,
            card: card.clone(),
            fingerprint,
            test_risk,
            test_available_at_once,
        })
    }

    // Payments' fraud rules are tested by numbers that it never sees. A live number stands for nothing.
    fn test_risk(&self, opened: &OpenedCard) -> Option<TestRisk> {
        let of = (self.mode == Mode::Test.as_str()).then(|| opened.number.test_risk());
        Some(match of.flatten()? {
            Risk::Elevated => TestRisk::Elevated,
            Risk::Highest => TestRisk::Highest,
        })
    }

    fn store_card(
        &self,
        tx: &mut Tx<'_>,
        tenant: &TenantKey,
        opened: &OpenedCard,
        card: &CardSummary,
    ) -> Result<Option<StoredCard>, Error> {
        let state = match (self.body.purpose, self.body.store) {
            (Purpose::Storage, _) | (_, Some(Store::Now)) => "active",
            (_, Some(Store::OnSuccess)) => "pending",
            (_, None) => return Ok(None),
        };
        let id = vault_api::ids::new_id("card");
        let place = Place {
            kind: "stored_card",
            record: &id,
            expires_at: 0,
        };
        let sealed = tenant.seal_card(place, &opened.number, &opened.holder);
        cards::insert(
            tx,
            self.macs(),
            self.owner(),
            &id,
            state,
            card,
            &sealed,
            self.now,
        )
        .map(Some)
    }

    fn reseal(&self, epoch: i64, cvv: &Cvv, grant: &Grant) -> Option<SealedCvv> {
        self.app
            .epochs
            .reseal(epoch, cvv, grant.secret(), grant.public(), self.now)
    }
}

/// Takes a token's CVV out of its row. None when there was none or its epoch is over.
pub(super) fn take_cvv(
    app: &App,
    tx: &mut Tx<'_>,
    token: &Token,
    now: i64,
) -> Result<Option<(i64, Cvv)>, Error> {
    let Some(sealed) = cvvs::take(tx, token.public())? else {
        return Ok(None);
    };
    replicas::fetch(app, tx, &sealed.key, now)?;
    // Whose card it is for, and whether it fits that, is the caller's to say.
    let opened = app
        .epochs
        .open(&sealed, token.secret(), token.public(), Brand::Unknown, now);
    Ok(opened.ok().map(|cvv| (sealed.epoch, cvv)))
}
