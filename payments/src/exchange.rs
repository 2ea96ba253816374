//! Exchanges at the vault: a payment method's card becomes the right to send it once (a grant), or a stored card.

use vault_api::keys::hex;
use vault_api::tokens::{CardSummary, Exchange, Exchanged, Purpose, Store, StoredCard};
use vault_api::{Token, TokenName};

use crate::app::App;
use crate::error::{Error, Refusal};
use crate::intents::Intent;
use crate::payment_methods::{PaymentMethod, holds_no_card};
use crate::three_ds::Authentication;
use crate::vault::Failure;

/// A grant for the intent, and with `setup_future_usage` a stored card that becomes active with the approval.
///
/// The same confirmation gets the same grant again, so that the grant itself is never stored. A token gives it to any
/// confirmation of the intent (it has one use); a stored card and a published test token give each confirmation a grant
/// of its own. `cvc_token`: what the confirmation brought for its saved card.
pub async fn for_payment(
    app: &App,
    intent: &Intent,
    method: &PaymentMethod,
    confirmation: &str,
    cvc_token: Option<Token>,
) -> Result<Exchanged, Error> {
    let source = method.source(&app.seal)?;
    let has_one_use = Token::parse(&source).is_ok();
    let part = if has_one_use { "" } else { confirmation };
    let parts = [intent.id.as_bytes(), source.as_bytes(), part.as_bytes()];
    let key = hex(&app.seal.mac("exchange", &parts));
    let keep = method.sealed_token.is_some() && intent.details.setup_future_usage.is_some();
    let body = Exchange {
        source,
        purpose: Purpose::Payment,
        intent: Some(intent.id.clone()),
        amount: Some(intent.amount),
        currency: Some(intent.currency.clone()),
        cvc_token,
        store: keep.then_some(Store::OnSuccess),
    };
    let exchanged = app
        .vault
        .exchange(&intent.owner.merchant, &key, &body)
        .await;
    let exchanged = exchanged.map_err(|failure| refused(&failure))?;
    if exchanged.grant.is_none() || (keep && exchanged.stored_card.is_none()) {
        return Err(Error::Vault(
            "exchange: the answer lacks what was asked for".into(),
        ));
    }
    Ok(exchanged)
}

/// A grant over a stored card that is being set up: it is authenticated, and not charged.
pub async fn for_setup(
    app: &App,
    authentication: &Authentication,
    method: &PaymentMethod,
) -> Result<Exchanged, Error> {
    let source = method.stored_card.clone();
    let source = source.ok_or(Error::Internal("a card that is set up is not stored"))?;
    let parts = [
        authentication.intent.as_bytes(),
        source.as_bytes(),
        authentication.confirmation.as_bytes(),
    ];
    let key = hex(&app.seal.mac("exchange", &parts));
    let body = Exchange {
        source,
        purpose: Purpose::Payment,
        intent: Some(authentication.intent.clone()),
        amount: Some(authentication.amount),
        currency: Some(authentication.currency.clone()),
        cvc_token: None,
        store: None,
    };
    let merchant = &authentication.owner.merchant;
    let exchanged = app.vault.exchange(merchant, &key, &body).await;
    exchanged.map_err(|failure| refused(&failure))
}

/// A stored card; the same payment method gets the same one again.
pub async fn for_storage(app: &App, method: &PaymentMethod) -> Result<StoredCard, Error> {
    let source = method.token(&app.seal)?;
    let parts = [method.id.as_bytes(), source.as_bytes()];
    let key = hex(&app.seal.mac("store", &parts));
    let body = Exchange {
        source,
        purpose: Purpose::Storage,
        intent: None,
        amount: None,
        currency: None,
        cvc_token: None,
        store: None,
    };
    let exchanged = app
        .vault
        .exchange(&method.owner.merchant, &key, &body)
        .await;
    let exchanged = exchanged.map_err(|failure| refused(&failure))?;
    let stored = exchanged.stored_card;
    stored.ok_or_else(|| Error::Vault("exchange: no stored card in the answer".into()))
}

/// What an exchange would say, as far as the vault can tell within moments: the refusal, or the card. `is_first`: this
/// confirmation cannot have exchanged the token before.
pub async fn foresee(
    app: &App,
    method: &PaymentMethod,
    is_first: bool,
) -> Result<Option<CardSummary>, Error> {
    let Ok(token) = TokenName::parse(&method.token(&app.seal)?) else {
        return Ok(None);
    };
    let asking = app.vault.lookup_token(&method.owner.merchant, &token);
    let code = match tokio::time::timeout(app.queue.foresight, asking).await {
        Ok(Ok(found)) => match (found.status.as_str(), found.card) {
            ("expired" | "revoked", _) => "token_expired",
            ("exchanged", _) if is_first => "token_already_used",
            (_, None) => "token_holds_no_card",
            (_, card) => return Ok(card),
        },
        Ok(Err(Failure::Refused(problem))) if problem.code == "not_found" => "not_found",
        _ => return Ok(None),
    };
    match refusal(code) {
        Some(refusal) => Err(refusal.into()),
        None => Ok(None),
    }
}

fn refused(failure: &Failure) -> Error {
    let code = match failure {
        Failure::Refused(problem) => problem.code.as_str(),
        _ => "",
    };
    let refusal = refusal(code).map(Error::from);
    refusal.unwrap_or_else(|| Error::Vault(format!("exchange: {failure}")))
}

// What the caller is told of a code of the vault's. None where it is no fault of theirs.
fn refusal(code: &str) -> Option<Refusal> {
    let refusal = match code {
        "token_already_used" | "idempotency_mismatch" | "grant_exhausted" => Refusal::new(
            "token_already_used",
            "The token has already been used. Each token can be used once; ask the buyer for the card again.",
        ),
        "token_expired" | "token_revoked" | "grant_expired" => Refusal::new(
            "resource_missing",
            "No such token: it has expired. Ask the buyer for the card again.",
        ),
        "not_found" => Refusal::no_such("token"),
        "token_holds_no_card" => holds_no_card(),
        "cvc_gone" => Refusal::new(
            "resource_missing",
            "The security code is no longer there. Ask the buyer for it again.",
        ),
        "invalid_cvc" => {
            let message = "The security code is not valid for this card.";
            let refusal = Refusal::new("invalid_cvc", message).kind("card_error");
            refusal.status(http::StatusCode::PAYMENT_REQUIRED)
        }
        "binding_mismatch" => Refusal::new(
            "payment_intent_incompatible_payment_method",
            "The token is bound to another PaymentIntent, amount or currency.",
        ),
        "rate_limited" => {
            let refusal = Refusal::new("rate_limit", "Too many requests. Please try again later.");
            refusal.status(http::StatusCode::TOO_MANY_REQUESTS)
        }
        _ => return None,
    };
    Some(refusal.param("payment_method"))
}
