//! 3-D Secure 2: payments is the 3DS Server. The vault puts the card into the AReq; nothing here can name a number.
//!
//! A confirmation comes here first when the merchant asks for it (`request_three_d_secure`), or after an issuer's
//! soft decline (65, 1A), with the same grant and for the same acquirer. Read in this order: [`record`] (the row and
//! its states), [`flow`] (from the versioning request to the authorisation), [`messages`] (EMV's), [`page`] (what the
//! buyer's browser sees), [`results`] (the RReq, which alone decides a challenge), [`outcome`] (what the charge says
//! of it).

pub mod carried;
mod config;
mod currency;
pub mod exemptions;
pub mod flow;
mod messages;
pub mod origins;
pub mod outcome;
pub mod page;
pub mod record;
pub mod results;
mod subject;

use serde_json::{Value, json};
use store::Tx;

pub use config::ThreeDs;
pub use record::Authentication;

use crate::app::App;
use crate::attempts::Attempt;
use crate::connectors::{Payment, Verdict};
use crate::error::{Error, Refusal};
use crate::http::params::Params;
use crate::intents::Intent;
use crate::outcome::Outcome;
use crate::risk;
use exemptions::Exemption;

/// What a merchant may ask for.
const REQUESTS: &[&str] = &["automatic", "any", "challenge"];

/// Takes `payment_method_options[card][request_three_d_secure]`.
pub fn request(params: &mut Params) -> Result<Option<&'static str>, Error> {
    request_and(params, |_| Ok(None::<()>)).map(|(request, _)| request)
}

/// The same, and what else `more` takes of `payment_method_options[card]`.
pub fn request_and<T>(
    params: &mut Params,
    more: impl FnOnce(&mut Params) -> Result<Option<T>, Error>,
) -> Result<(Option<&'static str>, Option<T>), Error> {
    let Some(mut options) = params.hash("payment_method_options")? else {
        return Ok((None, None));
    };
    let mut taken = (None, None);
    if let Some(mut card) = options.hash("card")? {
        taken = (
            card.one_of("request_three_d_secure", REQUESTS)?,
            more(&mut card)?,
        );
        card.finish()?;
    }
    options.finish()?;
    Ok(taken)
}

impl crate::app::Shared {
    /// The 3DS Server's set-up.
    pub fn three_ds(&self) -> Result<&ThreeDs, Error> {
        let missing = || Refusal::plain("3-D Secure is not set up here.").not_found();
        self.three_ds.as_ref().ok_or_else(|| missing().into())
    }
}

/// Whether the buyer is authenticated before the card is sent: the merchant asks for it, and the buyer is there.
pub fn comes_first(app: &App, intent: &Intent) -> bool {
    let asked = intent.details.request_three_d_secure.as_deref();
    app.three_ds.is_some() && may_ask(intent) && matches!(asked, Some("any" | "challenge"))
}

/// The exemption from an authentication that the acquirer is to ask for.
pub fn exemption(
    app: &App,
    tx: &mut Tx<'_>,
    intent: &Intent,
    facts: &risk::Facts,
    level: &str,
) -> Result<Option<Exemption>, Error> {
    let setup = app
        .three_ds
        .as_ref()
        .and_then(|setup| setup.exemptions.as_ref());
    match setup {
        Some(exemptions) => exemptions.of(tx, intent, facts, level),
        None => Ok(None),
    }
}

/// Whether the buyer may be asked to act.
pub fn may_ask(intent: &Intent) -> bool {
    let details = &intent.details;
    details.off_session != Some(true) && details.error_on_requires_action != Some(true)
}

/// The authentication that an outcome leads to: an issuer's soft decline, when nobody has been authenticated for it.
pub fn step_up(app: &App, attempt: &Attempt, outcome: &Outcome) -> Option<Authentication> {
    let setup = app.three_ds.as_ref()?;
    let Outcome::Declined(Payment {
        verdict: Verdict::Declined(decline),
        ..
    }) = outcome
    else {
        return None;
    };
    let carried = &attempt.carried;
    if decline.decline_code != "authentication_required"
        || carried.authentication.is_some()
        || !carried.may_step_up
    {
        return None;
    }
    let begin = record::Begin {
        owner: &attempt.owner,
        cause: &attempt.origin,
        intent: &attempt.intent,
        confirmation: &attempt.confirmation,
        payment_method: &attempt.payment_method,
        acquirer: &attempt.acquirer,
        amount: attempt.amount,
        currency: &attempt.currency,
        mandated: false,
        required: true,
        return_url: carried.return_url.as_deref(),
        risk: carried.risk.as_ref(),
    };
    Some(Authentication::begin(setup, &begin, app.clock.now_ms()))
}

/// The authentication of a confirmation, when there is one.
pub async fn of_confirmation(
    app: &App,
    confirmation: &str,
) -> Result<Option<Authentication>, Error> {
    if app.three_ds.is_none() {
        return Ok(None);
    }
    let confirmation = confirmation.to_owned();
    let read = move |tx: &mut Tx<'_>| Authentication::of_confirmation(tx, &confirmation);
    app.store.look_up(read).await
}

/// Stripe's `next_action`: by redirect where there is a place to return to, else for the browser's library.
fn next_action(setup: &ThreeDs, authentication: &Authentication) -> Value {
    let url = setup.url(&authentication.id, "");
    match &authentication.return_url {
        Some(return_url) => json!({
            "type": "redirect_to_url",
            "redirect_to_url": { "url": url, "return_url": return_url },
        }),
        None => json!({
            "type": "use_stripe_sdk",
            "use_stripe_sdk": { "type": "three_d_secure_redirect", "url": url },
        }),
    }
}
