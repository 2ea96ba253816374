//! A confirmation begins: in one transaction, before anything is sent, the intent is taken, the fraud rules judge the
//! payment, and the first attempt or the authentication that comes before it is stored.

use store::{Tx, params};
use vault_api::tokens::{CardSummary, Exchanged, TestRisk};

use super::Intent;
use super::confirm::Confirm;
use crate::app::App;
use crate::attempts::Attempt;
use crate::conversion;
use crate::error::Error;
use crate::payment_methods::{PaymentMethod, remember_card, remember_stored_card};
use crate::risk::{self, Assessment};
use crate::routing::{self, limits};
use crate::three_ds::{self, Authentication};

/// What has begun.
pub enum Begun {
    /// The card is sent next, unless a rule blocks it.
    Sending(Attempt),
    /// The buyer is authenticated next.
    Authenticating(Authentication),
}

/// An intent that a confirmation takes for itself, and the card that it is confirmed with.
pub struct Beginning {
    app: App,
    wanted: Confirm,
    intent: Intent,
    method: PaymentMethod,
    card: CardSummary,
    /// The stored card that came into being with it.
    stored: Option<String>,
    /// What the card is counted by.
    counted: Option<String>,
    test_risk: Option<TestRisk>,
}

impl Beginning {
    pub fn new(
        app: &App,
        wanted: &Confirm,
        intent: &Intent,
        method: &PaymentMethod,
        exchanged: &Exchanged,
    ) -> Self {
        let stored = || method.stored_card.clone();
        Self {
            app: app.clone(),
            wanted: wanted.clone(),
            counted: exchanged.fingerprint.clone().or_else(stored),
            intent: intent.clone(),
            method: method.clone(),
            card: exchanged.card.clone(),
            stored: exchanged.stored_card.as_ref().map(|card| card.id.clone()),
            test_risk: exchanged.test_risk,
        }
    }

    /// Takes, judges and stores.
    pub async fn commit(self) -> Result<Begun, Error> {
        let store = self.app.store.clone();
        store.write(move |tx: &mut Tx<'_>| self.begin(tx)).await
    }

    fn begin(&self, tx: &mut Tx<'_>) -> Result<Begun, Error> {
        self.take(tx)?;
        let (app, intent) = (&self.app, &self.intent);
        let now_ms = app.clock.now_ms();
        let judged = self.risk_facts();
        let assessment = risk::before(tx, &app.risk, &judged, now_ms)?;
        if assessment.blocks() {
            risk::note(app, &assessment);
        }
        let confirmation = &self.wanted.confirmation;
        let facts = routing::Facts {
            brand: Some(self.card.brand.clone()),
            risk: assessment.level().into(),
            ..routing::facts(app, intent, &self.method, confirmation)
        };
        let first = routing::first(app, &facts)?;
        if !assessment.blocks() && three_ds::comes_first(app, intent) {
            let begun = self.authentication(first.name(), &assessment)?;
            begun.insert(tx)?;
            return Ok(Begun::Authenticating(begun));
        }
        let mut attempt = Attempt::new(app, first, &self.wanted, intent, &self.method);
        attempt.carried.exemption =
            three_ds::exemption(app, tx, intent, &judged, assessment.level())?;
        attempt.carried.risk = Some(assessment);
        attempt.carried.conversion = conversion::newest(app, &intent.owner, &intent.currency)?;
        attempt.insert(tx)?;
        Ok(Begun::Sending(attempt))
    }

    fn take(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let (intent, method) = (&self.intent, &self.method.id);
        // Whoever changed amount or state since it was read wins; this confirmation begins again with a new call.
        let moved = tx.execute(
            "update payment_intents set status = 'processing', payment_method = $2, last_payment_error = null
             where id = $1 and status in ('requires_payment_method', 'requires_confirmation')
               and amount = $3 and currency = $4",
            params![&intent.id, method, intent.amount, &intent.currency],
        )?;
        if moved == 0 {
            let intent = Intent::load(tx, &intent.owner, &intent.id)?;
            return Err(intent.unexpected_state(&self.app.seal, "confirm"));
        }
        remember_card(tx, method, &self.card)?;
        if let Some(stored) = &self.stored {
            remember_stored_card(tx, method, stored)?;
        }
        if let Some(counted) = &self.counted {
            let (owner, confirmation) = (&intent.owner, &self.wanted.confirmation);
            let (brand, now_ms) = (&self.card.brand, self.app.clock.now_ms());
            limits::remember(tx, owner, confirmation, counted, brand, now_ms)?;
        }
        Ok(())
    }

    fn risk_facts(&self) -> risk::Facts {
        let details = &self.intent.details;
        // Tries on one intent are one buyer's, whatever else is known.
        let session = details.buyer_session.as_ref();
        let session = session.or(details.checkout_session.as_ref());
        risk::Facts {
            owner: self.intent.owner.clone(),
            confirmation: self.wanted.confirmation.clone(),
            amount: self.intent.amount,
            currency: self.intent.currency.clone(),
            brand: self.card.brand.clone(),
            card: self.counted.clone(),
            address: details.buyer_address.clone(),
            session: session.unwrap_or(&self.intent.id).clone(),
            test: self.test_risk,
        }
    }

    fn authentication(
        &self,
        acquirer: &str,
        assessment: &Assessment,
    ) -> Result<Authentication, Error> {
        let (app, intent) = (&self.app, &self.intent);
        let asked = intent.details.request_three_d_secure.as_deref();
        let return_url = three_ds::carried::return_url(intent);
        let begin = three_ds::record::Begin {
            owner: &intent.owner,
            cause: &self.wanted.origin,
            intent: &intent.id,
            confirmation: &self.wanted.confirmation,
            payment_method: &self.method.id,
            acquirer,
            amount: intent.amount,
            currency: &intent.currency,
            mandated: asked == Some("challenge"),
            required: false,
            return_url: return_url.as_deref(),
            risk: Some(assessment),
        };
        Ok(Authentication::begin(
            app.three_ds()?,
            &begin,
            app.clock.now_ms(),
        ))
    }
}
