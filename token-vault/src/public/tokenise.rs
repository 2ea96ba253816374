//! `POST /v1/tokens`: a sealed card becomes a single-use token; so does a security code alone, for a card that is stored.

use axum::extract::State;
use axum::http::HeaderMap;
use pan::Cvv;
use service::headers::RequestId;
use sha2::{Digest as _, Sha256};
use vault_api::Code;
use vault_api::Token;
use vault_api::keys::ApiKey;
use vault_api::tokens::{TokenCreated, TokeniseSealed};

use super::field_sessions::same_origin;
use crate::audit::{self, Act, Actor};
use crate::card_json::{Checked, SealedJson};
use crate::card_rules::CardRules;
use crate::crypto::envelope::{Holder, Place};
use crate::crypto::sealing;
use crate::crypto::session::{self, Claims};
use crate::forward::retry::CvvMode;
use crate::http::limits::{Metered, Rule};
use crate::http::proof::Work;
use crate::http::{Json, auth};
use crate::records::keys::by_hash_even_ended;
use crate::records::tokens::{Binding, Owner};
use crate::{App, Error, records, replicas};

/// A sealed card that is being kept: its hash must be new for its session.
pub struct Sight {
    hash: [u8; 32],
    expires_at: i64,
}

/// What a token is of.
pub enum Content {
    /// A checked card.
    Card(Checked),
    /// The security code of a card that is stored already.
    Cvc(Cvv),
}

/// Tokenises. The session says for whom; the card is opened, checked and sealed again for the store.
pub async fn tokenise(
    State(app): State<App>,
    axum::Extension(request_id): axum::Extension<RequestId>,
    limits: Metered,
    headers: HeaderMap,
    Json(body): Json<TokeniseSealed>,
) -> Result<Json<TokenCreated>, Error> {
    same_origin(&headers)?;
    let now = app.clock.now();
    let session = auth::bearer(&headers).ok_or(Code::SessionInvalid)?;
    let claims =
        Claims::verify(session, &app.root, now).map_err(|session::Invalid| Code::SessionInvalid)?;
    audit::refusals::acting(Actor {
        merchant: claims.merchant.clone(),
        id: claims.jti.clone(),
        request_id: request_id.0.clone(),
    });
    limits.take(&app, Rule::TokensPerSession, &claims.jti)?;
    let work = Work::of(&app, &headers, "tokens", &claims.jti).await?;
    limits.pass_by_address(&app, Rule::TokensPerAddress, &work)?;
    limits.pass(&app, Rule::TokensPerKey, &claims.key, &work)?;
    let binding = sealing::Binding {
        mode: claims.mode.as_str(),
        publishable_key: &claims.key,
        jti: &claims.jti,
    };
    let mut plain = app.sealing.open(&body.sealed, &binding, now);
    if matches!(plain, Err(sealing::Error::UnknownKey)) {
        // Another process may have handed it out a moment ago.
        replicas::wait(&app).await;
        plain = app.sealing.open(&body.sealed, &binding, now);
    }
    let plain = plain.map_err(|error| match error {
        sealing::Error::UnknownKey => Code::SealingKeyUnknown,
        sealing::Error::Invalid => Code::SealedCardInvalid,
    })?;
    let content = match SealedJson::parse(&plain)? {
        SealedJson::Card(card) => {
            let rules = rules_of(&app, &claims.key).await?;
            let card = card.check(claims.mode, card::Month::of_unix(now), &rules)?;
            let funding = app.funding.of(card.card.number.bin());
            if funding.is_some_and(|funding| !rules.takes(funding)) {
                return Err(Code::FundingNotAllowed.into());
            }
            let of_bin = format!("{}/{}", claims.key, card.card.number.bin());
            limits.pass(&app, Rule::TokensPerBin, &of_bin, &work)?;
            Content::Card(card)
        }
        SealedJson::Cvc(cvc) => Content::Cvc(cvc.check()?),
    };
    drop(plain);
    let hash = Sha256::new()
        .chain_update(&claims.jti)
        .chain_update([0])
        .chain_update(&body.sealed.enc)
        .finalize();
    let sight = Sight {
        hash: hash.into(),
        expires_at: claims.exp,
    };
    let actor = Actor {
        merchant: claims.merchant,
        id: claims.jti,
        request_id: request_id.0,
    };
    let binding = Binding {
        intent: claims.intent,
        amount: claims.amount,
        currency: claims.currency,
    };
    keep(&app, actor, content, binding, Some(sight))
        .await
        .map(Json)
}

/// What the operator rules for a key's cards. A session outlives a key that ends, and so do the rules.
async fn rules_of(app: &App, key: &str) -> Result<CardRules, Error> {
    let sha256 = ApiKey::parse(key)
        .map_err(|_| Code::SessionInvalid)?
        .sha256_hex();
    let (now, parts) = (app.clock.now(), app.clone());
    let found = app
        .store
        .read(move |tx| by_hash_even_ended(tx, parts.root.macs(), &sha256, now))
        .await?;
    // No row of a key is ever deleted. Without one nobody knows what was ruled, and no card passes for that.
    let found = found.ok_or(Code::SessionInvalid)?;
    Ok(found.rules.cards)
}

/// Keeps a card or a security code and answers its token.
///
/// # Errors
/// The store's; `sealed_card_replayed` when this sealed card was kept before.
pub async fn keep(
    app: &App,
    actor: Actor,
    content: Content,
    binding: Binding,
    sight: Option<Sight>,
) -> Result<TokenCreated, Error> {
    let (now, mode) = (app.clock.now(), app.root.mode());
    let token = Token::ordered();
    let (card, cvc) = match content {
        Content::Card(Checked { mut card, summary }) => {
            let cvc = card.cvc.take();
            let holder = Holder::take(&mut card);
            (Some((summary, card.number, holder)), cvc)
        }
        Content::Cvc(cvc) => (None, Some(cvc)),
    };
    let summary = card.as_ref().map(|(summary, ..)| summary.clone());
    let kind = summary.as_ref().map_or("cvc_update", |_| "card");
    let expires_at = now + records::tokens::LIFE;
    let created = TokenCreated {
        id: token.clone(),
        object: "token".to_owned(),
        kind: kind.to_owned(),
        card: summary,
        livemode: mode.is_live(),
        expires_at,
    };
    let parts = app.clone();
    app.write(move |tx| {
        if let Some(sight) = &sight
            && !records::tokens::first_sight(tx, &sight.hash, sight.expires_at)?
        {
            return Err(Error::from(Code::SealedCardReplayed));
        }
        let kept = match &card {
            Some((summary, number, holder)) => {
                let tenant = parts.tenants.active(tx, &parts.root, &actor.merchant)?;
                let place = Place {
                    kind: "token",
                    record: token.public(),
                    expires_at,
                };
                Some((summary, tenant.seal_card(place, number, holder)))
            }
            None => None,
        };
        let kept = kept.as_ref().map(|(summary, sealed)| (*summary, sealed));
        let owner = Owner {
            merchant: &actor.merchant,
            mode: mode.as_str(),
        };
        let macs = parts.root.macs();
        records::tokens::insert(tx, macs, owner, &token, kept, &binding, now)?;
        if let Some(cvc) = &cvc
            && parts.cvvs.mode == CvvMode::On
        {
            let cvv = parts.epochs.seal(cvc, token.secret(), token.public(), now);
            records::cvvs::insert(tx, token.public(), &cvv)?;
        }
        audit::record(tx, &actor, Act::Tokenise, token.public(), "created", now)
    })
    .await?;
    let brand = created.card.as_ref().map_or("none", |card| &card.brand);
    app.metrics.count("vault_tokens_total", &[("brand", brand)]);
    Ok(created)
}
