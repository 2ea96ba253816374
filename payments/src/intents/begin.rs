//! A confirmation begins: in one transaction, before anything is sent, its key is claimed, the payment method is stored, the
//! intent is taken, the fraud rules judge the payment, and the first attempt or the authentication that comes before it is
//! stored.

use serde_json::json;
use store::{Tx, params};
use vault_api::tokens::{CardSummary, Exchanged, TestRisk};

use super::confirm::{Confirm, Paying};
use super::{Intent, LISTED};
use crate::app::App;
use crate::attempts::Attempt;
use crate::conversion;
use crate::error::Error;
use crate::payment_methods::{remember_available_at_once, remember_card, remember_stored_card};
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
    paying: Paying,
    card: CardSummary,
    /// The stored card that came into being with it.
    stored: Option<String>,
    /// What the card is counted by.
    counted: Option<String>,
    test_risk: Option<TestRisk>,
    available_at_once: bool,
}

impl Beginning {
    pub fn new(app: &App, wanted: &Confirm, mut paying: Paying, exchanged: &Exchanged) -> Self {
        let counted = exchanged.fingerprint.clone();
        let card = exchanged.card.clone();
        if paying.is_new {
            paying.method.card = Some(card.clone());
        }
        Self {
            app: app.clone(),
            wanted: wanted.clone(),
            counted: counted.or_else(|| paying.method.stored_card.clone()),
            paying,
            card,
            stored: exchanged.stored_card.as_ref().map(|card| card.id.clone()),
            test_risk: exchanged.test_risk,
            available_at_once: exchanged.test_available_at_once,
        }
    }

    /// Takes, judges and stores.
    pub async fn commit(self) -> Result<Begun, Error> {
        let (store, subject) = (self.app.store.clone(), self.wanted.confirmation.clone());
        let write = move |tx: &mut Tx<'_>| self.begin(tx);
        let begun = store.write(write).await?;
        subject.has_claimed();
        Ok(begun)
    }

    fn begin(&self, tx: &mut Tx<'_>) -> Result<Begun, Error> {
        let app = &self.app;
        self.wanted.confirmation.claim(tx, app.clock.now())?;
        let intent = &self.take(tx)?;
        let now_ms = app.clock.now_ms();
        let judged = self.risk_facts(intent);
        let assessment = risk::before(tx, &app.risk, &judged, now_ms)?;
        if assessment.blocks() {
            risk::note(app, &assessment);
        }
        let (confirmation, method) = (&self.wanted.confirmation.id, &self.paying.method);
        let facts = routing::Facts {
            brand: Some(self.card.brand.clone()),
            risk: assessment.level().into(),
            ..routing::facts(app, intent, method, confirmation)
        };
        let first = routing::first(app, &facts)?;
        if !assessment.blocks() && three_ds::comes_first(app, intent) {
            let begun = self.authentication(intent, first.name(), &assessment)?;
            begun.insert(tx)?;
            return Ok(Begun::Authenticating(begun));
        }
        let mut attempt = Attempt::new(app, first, &self.wanted, intent, method);
        attempt.carried.exemption =
            three_ds::exemption(app, tx, intent, &judged, assessment.level())?;
        attempt.carried.risk = Some(assessment);
        attempt.carried.conversion = conversion::newest(app, &intent.owner, &intent.currency)?;
        attempt.insert(tx)?;
        Ok(Begun::Sending(attempt))
    }

    fn take(&self, tx: &mut Tx<'_>) -> Result<Intent, Error> {
        let (app, method) = (&self.app, &self.paying.method);
        let intent = take(tx, app, &self.wanted, &self.paying, None)?;
        let inserted = self.paying.is_new && method.insert(tx)?;
        if !inserted {
            remember_card(tx, &method.id, &self.card)?;
        }
        if self.available_at_once {
            remember_available_at_once(tx, &method.id)?;
        }
        if let Some(stored) = &self.stored {
            remember_stored_card(tx, &method.id, stored)?;
        }
        if let Some(counted) = &self.counted {
            let (owner, confirmation) = (&intent.owner, &self.wanted.confirmation.id);
            let (brand, now_ms) = (&self.card.brand, app.clock.now_ms());
            limits::remember(tx, owner, confirmation, counted, brand, now_ms)?;
        }
        Ok(intent)
    }

    fn risk_facts(&self, intent: &Intent) -> risk::Facts {
        let details = &intent.details;
        // Tries on one intent are one buyer's, whatever else is known.
        let session = details.buyer_session.as_ref();
        let session = session.or(details.checkout_session.as_ref());
        risk::Facts {
            owner: intent.owner.clone(),
            confirmation: self.wanted.confirmation.id.clone(),
            amount: intent.amount,
            currency: intent.currency.clone(),
            brand: self.card.brand.clone(),
            card: self.counted.clone(),
            address: details.buyer_address.clone(),
            session: session.unwrap_or(&intent.id).clone(),
            test: self.test_risk,
        }
    }

    fn authentication(
        &self,
        intent: &Intent,
        acquirer: &str,
        assessment: &Assessment,
    ) -> Result<Authentication, Error> {
        let app = &self.app;
        let asked = intent.details.request_three_d_secure.as_deref();
        let return_url = three_ds::carried::return_url(intent);
        let begin = three_ds::record::Begin {
            owner: &intent.owner,
            cause: &self.wanted.origin,
            intent: &intent.id,
            confirmation: &self.wanted.confirmation.id,
            payment_method: &self.paying.method.id,
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

/// Takes the intent for a confirmation: what it says is written, and no other can begin. `queued`: a worker is to begin
/// with it. Whoever changed amount or state since the intent was read wins; this confirmation begins again with a new call.
pub fn take(
    tx: &mut Tx<'_>,
    app: &App,
    wanted: &Confirm,
    paying: &Paying,
    queued: Option<&str>,
) -> Result<Intent, Error> {
    let (mut intent, changed) = wanted.confirmable(tx, app)?;
    if intent.status == "requires_action" {
        intent.reopen(tx)?;
    }
    if changed {
        // What the merchant's server said of the intent since it was read stays.
        LISTED.lock(tx, &intent.owner, &intent.id)?;
        intent.details = Intent::load(tx, &intent.owner, &intent.id)?.details;
        wanted.options.apply(&mut intent.details);
        tx.execute(
            "update payment_intents set details = $2 where id = $1",
            params![&intent.id, json!(intent.details).to_string()],
        )?;
    }
    wanted.keep_cvc_token(tx, app)?;
    let read = &paying.intent;
    let moved = tx.execute(
        "update payment_intents set status = 'processing', payment_method = $2, last_payment_error = null, queued = $5
         where id = $1 and (status in ('requires_payment_method', 'requires_confirmation') or queued = $6)
           and amount = $3 and currency = $4",
        params![
            &intent.id,
            &paying.method.id,
            read.amount,
            &read.currency,
            queued.map(str::to_owned),
            &wanted.confirmation.id,
        ],
    )?;
    if moved == 0 {
        let intent = Intent::load(tx, &intent.owner, &intent.id)?;
        return Err(intent.unexpected_state(&app.seal, "confirm"));
    }
    Ok(intent)
}
