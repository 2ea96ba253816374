//! `POST /v1/tokens`: a sealed card becomes a single-use token.

use axum::extract::State;
use axum::http::HeaderMap;
use pan::CardData;
use service::headers::RequestId;
use sha2::{Digest as _, Sha256};
use vault_api::Code;
use vault_api::Token;
use vault_api::tokens::{TokenCreated, TokeniseSealed};

use super::field_sessions::same_origin;
use crate::audit::{self, Act, Actor};
use crate::card_json::{self, CardJson};
use crate::crypto::envelope::{Holder, Place};
use crate::crypto::sealing;
use crate::crypto::session::{self, Claims};
use crate::forward::retry::CvvMode;
use crate::http::limits::{Metered, Rule};
use crate::http::proof::Work;
use crate::http::{Json, auth};
use crate::records::tokens::{Binding, Owner};
use crate::{App, Error, records, replicas};

/// A sealed card that is being kept: its hash must be new for its session.
pub struct Sight {
    hash: [u8; 32],
    expires_at: i64,
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
    let card = CardJson::parse(&plain)?.check(claims.mode, card::Month::of_unix(now))?;
    drop(plain);
    let of_bin = format!("{}/{}", claims.key, card.number.bin());
    limits.pass(&app, Rule::TokensPerBin, &of_bin, &work)?;
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
    keep(&app, actor, card, binding, Some(sight))
        .await
        .map(Json)
}

/// Keeps a checked card and answers its token.
///
/// # Errors
/// The store's; `sealed_card_replayed` when this sealed card was kept before.
pub async fn keep(
    app: &App,
    actor: Actor,
    mut card: CardData,
    binding: Binding,
    sight: Option<Sight>,
) -> Result<TokenCreated, Error> {
    let (now, mode) = (app.clock.now(), app.root.mode());
    let (token, summary) = (Token::ordered(), card_json::summary(&card));
    let holder = Holder::take(&mut card);
    let expires_at = now + records::tokens::LIFE;
    let created = TokenCreated {
        id: token.clone(),
        object: "token".to_owned(),
        card: summary.clone(),
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
        let tenant = parts.tenants.active(tx, &parts.root, &actor.merchant)?;
        let place = Place {
            kind: "token",
            record: token.public(),
            expires_at,
        };
        let sealed = tenant.seal_card(place, &card.number, &holder);
        let owner = Owner {
            merchant: &actor.merchant,
            mode: mode.as_str(),
        };
        let macs = parts.root.macs();
        records::tokens::insert(tx, macs, owner, &token, &summary, &sealed, &binding, now)?;
        if let Some(cvc) = &card.cvc
            && parts.cvvs.mode == CvvMode::On
        {
            let cvv = parts.epochs.seal(cvc, token.secret(), token.public(), now);
            records::cvvs::insert(tx, token.public(), &cvv)?;
        }
        audit::record(tx, &actor, Act::Tokenise, token.public(), "created", now)
    })
    .await?;
    app.metrics
        .count("vault_tokens_total", &[("brand", &created.card.brand)]);
    Ok(created)
}
