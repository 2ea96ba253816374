//! `POST /v1/exchange`: a token or a stored card becomes a grant, a stored card, or both. One use, whatever races.
//!
//! Order of checks: unknown or foreign, same key, other key, revoked or expired.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use card::Brand;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pan::Cvv;
use serde_json::Value;
use sha2::Sha256;
use store::Tx;
use store::idempotency::{self, Claim};
use subtle::ConstantTimeEq as _;
use vault_api::tokens::{CardSummary, Exchange, Exchanged, GrantInfo, Purpose, Store, StoredCard};
use vault_api::{Code, Grant, Token};

use crate::audit::{self, Act, Actor};
use crate::crypto::cvv::SealedCvv;
use crate::crypto::envelope::{OpenedCard, Place, TenantKey};
use crate::crypto::{CannotOpen, derive};
use crate::http::{Caller, Json};
use crate::records::grants::{self, NewGrant};
use crate::records::row_mac::{Read, RowMacs};
use crate::records::tokens::{Binding, Owner, TokenRow, Use};
use crate::records::{cards, cvvs, tokens};
use crate::{App, Error, replicas};

/// How long the same key answers the same, seconds.
const REPLAY: i64 = 24 * 3600;

/// The header that says an answer is a replay.
const REPLAYED: &str = "idempotent-replayed";

/// Everything that one exchange needs to know.
struct Work {
    app: App,
    actor: Actor,
    mode: &'static str,
    body: Exchange,
    key: String,
    hash: [u8; 32],
    now: i64,
    fingerprint: bool,
}

/// An answer: its JSON, and whether it is a replay.
struct Answer(Value, bool);

/// Exchanges.
pub async fn exchange(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<Exchange>,
) -> Result<Response, Error> {
    caller.may("exchange")?;
    let key = idempotency_key(&headers)?;
    check(&body)?;
    let hash = request_hash(&app, &caller, &body)?;
    let now = app.clock.now();
    let work = Work {
        app: app.clone(),
        actor: Actor::from(&caller),
        mode: caller.mode.as_str(),
        body,
        key,
        hash,
        now,
        fingerprint: caller.may("fingerprint").is_ok(),
    };
    let Answer(value, replayed) = app.write(move |tx| work.run(tx)).await?;
    app.metrics.count(
        "vault_exchanges_total",
        &[("replayed", if replayed { "true" } else { "false" })],
    );
    let mut response = Json(value).into_response();
    if replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

impl Work {
    fn run(&self, tx: &mut Tx<'_>) -> Result<Answer, Error> {
        match Token::parse(&self.body.source) {
            Ok(token) => self.of_token(tx, &token),
            Err(_) if self.body.source.starts_with("card_") => self.of_card(tx),
            Err(_) => Err(Code::NotFound.into()),
        }
    }

    fn owner(&self) -> Owner<'_> {
        Owner {
            merchant: &self.actor.merchant,
            mode: self.mode,
        }
    }

    fn macs(&self) -> &RowMacs {
        self.app.root.macs()
    }

    // A replay shows the fingerprint only to a caller who may see it, whoever asked first.
    fn in_scope(&self, mut answer: Value) -> Value {
        if !self.fingerprint
            && let Some(answer) = answer.as_object_mut()
        {
            answer.remove("fingerprint");
        }
        answer
    }

    // A recorded answer stands in a table that knows nothing of cards: a MAC binds it to its key and merchant, so that
    // no other answer can be put in its place.
    fn bound(&self, scope: &str, answer: Vec<u8>) -> Vec<u8> {
        [&self.mac_of(scope, &answer)[..], &answer].concat()
    }

    fn unbound<'a>(&self, scope: &str, kept: &'a [u8]) -> Result<&'a [u8], Error> {
        let (mac, answer) = kept.split_at_checked(32).ok_or(CannotOpen)?;
        if bool::from(mac.ct_eq(&self.mac_of(scope, answer))) {
            Ok(answer)
        } else {
            Err(CannotOpen.into())
        }
    }

    fn mac_of(&self, scope: &str, answer: &[u8]) -> [u8; 32] {
        let parts = [b"answer", scope.as_bytes(), self.key.as_bytes(), answer];
        keyed_hash(&self.app, &parts)
    }

    fn of_token(&self, tx: &mut Tx<'_>, token: &Token) -> Result<Answer, Error> {
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

        let grant = (self.body.purpose == Purpose::Payment).then(|| self.grant_of(token));
        let opened = self.open_token(token, &row)?;
        let cvv = take_cvv(&self.app, tx, token, &row.card, self.now)?;
        let exchanged = self.issue(tx, grant.as_ref(), &opened, &row.card, cvv)?;

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
        let grant = (self.body.purpose == Purpose::Payment).then(|| self.grant_of(token));
        let answer = self.in_scope(parse_answer(used.answer.as_bytes())?);
        Ok(Answer(with_secret(answer, grant.as_ref()), true))
    }

    fn of_card(&self, tx: &mut Tx<'_>) -> Result<Answer, Error> {
        if self.body.purpose != Purpose::Payment || self.body.store.is_some() {
            return Err(Code::InvalidRequest.into());
        }
        let (stored, sealed) =
            cards::find(tx, self.macs(), self.owner(), &self.body.source)?.ok_or(Code::NotFound)?;
        let scope = format!("exchange:{}:{}", self.actor.merchant, self.mode);
        match idempotency::claim(
            tx,
            &scope,
            &self.key,
            &self.hash,
            self.now,
            self.now + REPLAY,
        )? {
            Claim::New => {}
            Claim::Replay { body, .. } => {
                let answer = parse_answer(self.unbound(&scope, &body)?)?;
                let grant = self.grant_of_card(answer["grant"]["id"].as_str().unwrap_or_default());
                let answer = self.in_scope(answer);
                return Ok(Answer(with_secret(answer, Some(&grant)), true));
            }
            Claim::Open => return Err(Code::Unavailable.into()),
            Claim::Mismatch => return Err(Code::IdempotencyMismatch.into()),
        }
        if stored.status == "pending" {
            return Err(Code::NotFound.into());
        }
        let grant = self.grant_of_card(&format!("grant_{}", vault_api::ids::random_base62(16)));
        let tenant = self.app.tenants.by_id(&sealed.key_id)?;
        let place = Place {
            kind: "stored_card",
            record: &stored.id,
            expires_at: 0,
        };
        let opened = tenant.open_card(place, &sealed)?;
        let cvv = self.fresh_cvv(tx, &stored.card)?;
        let exchanged = self.issue(tx, Some(&grant), &opened, &stored.card, cvv)?;
        let answer = without_secret(&exchanged)?;
        let kept = self.bound(&scope, answer.to_string().into_bytes());
        idempotency::complete(tx, &scope, &self.key, 200, &kept)?;
        audit::record(
            tx,
            &self.actor,
            Act::Exchange,
            &stored.id,
            purpose(&self.body),
            self.now,
        )?;
        Ok(Answer(with_secret(answer, Some(&grant)), false))
    }

    // Seals the card anew for each thing that comes into being; nothing shares a record key.
    fn issue(
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
        let stored_card = self.store_card(tx, &tenant, opened, card)?;
        let Some(grant) = grant else {
            return Ok(Exchanged {
                grant: None,
                stored_card,
                card: card.clone(),
                fingerprint,
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

    // A stored card has no CVV; a token that was made for this brings one, and is used up by it.
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
        if !tokens::take(tx, self.macs(), &mut row, &used)? {
            return Err(Code::TokenExpired.into());
        }
        take_cvv(&self.app, tx, token, card, self.now)?
            .map_or(Err(Code::CvcGone.into()), |cvv| Ok(Some(cvv)))
    }

    fn check_binding(&self, binding: &Binding) -> Result<(), Error> {
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
    fn grant_of(&self, token: &Token) -> Grant {
        let secret = derive(
            token.secret().as_bytes(),
            &[b"cardseal/grant/1", self.key.as_bytes()],
        );
        Grant::derived(token.public().trim_start_matches(Token::PREFIX), &secret)
    }

    // Not from the tenant's key: a replay after a rotation gives the same grant.
    fn grant_of_card(&self, public: &str) -> Grant {
        let of = crate::crypto::length_prefixed(&[
            self.actor.merchant.as_bytes(),
            public.as_bytes(),
            self.key.as_bytes(),
        ]);
        let secret = self.app.root.derived("grant", &of);
        Grant::derived(public.trim_start_matches(Grant::PREFIX), &secret)
    }
}

/// Takes a token's CVV out of its row. None when there was none or its epoch is over.
fn take_cvv(
    app: &App,
    tx: &mut Tx<'_>,
    token: &Token,
    card: &CardSummary,
    now: i64,
) -> Result<Option<(i64, Cvv)>, Error> {
    let Some(sealed) = cvvs::find(tx, token.public())? else {
        return Ok(None);
    };
    replicas::fetch(app, tx, &sealed.key, now)?;
    cvvs::delete(tx, token.public())?;
    let brand = Brand::from_id(&card.brand).unwrap_or(Brand::Unknown);
    let opened = app
        .epochs
        .open(&sealed, token.secret(), token.public(), brand, now);
    Ok(opened.ok().map(|cvv| (sealed.epoch, cvv)))
}

fn check(body: &Exchange) -> Result<(), Error> {
    let currency = |c: &String| c.len() == 3 && c.bytes().all(|b| b.is_ascii_lowercase());
    let fits = match body.purpose {
        Purpose::Payment => {
            body.amount.is_some_and(|a| a > 0) && body.currency.as_ref().is_some_and(currency)
        }
        Purpose::Storage => {
            body.amount.is_none()
                && body.currency.is_none()
                && body.store.is_none()
                && body.cvc_token.is_none()
        }
    };
    let intent = body
        .intent
        .as_ref()
        .is_none_or(|id| (1..=255).contains(&id.len()));
    if body
        .intent
        .as_deref()
        .is_some_and(card::filter::holds_card_number)
    {
        return Err(Code::CardNumberInWrongPlace.into());
    }
    if fits && intent {
        Ok(())
    } else {
        Err(Code::InvalidRequest.into())
    }
}

fn purpose(body: &Exchange) -> &'static str {
    match (body.purpose, body.store) {
        (Purpose::Storage, _) => "stored_card",
        (Purpose::Payment, None) => "grant",
        (Purpose::Payment, Some(_)) => "grant+stored_card",
    }
}

// The draft says a structured-field string, people send it bare: both are taken.
fn idempotency_key(headers: &HeaderMap) -> Result<String, Error> {
    let value = headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .trim();
    let value = value
        .strip_prefix('"')
        .and_then(|v| v.strip_suffix('"'))
        .unwrap_or(value);
    if (1..=255).contains(&value.len()) {
        Ok(value.to_owned())
    } else {
        Err(Code::IdempotencyKeyMissing.into())
    }
}

fn request_hash(app: &App, caller: &Caller, body: &Exchange) -> Result<[u8; 32], Error> {
    let json =
        serde_json::to_vec(body).map_err(|_| Error::Internal("a request could not be written"))?;
    Ok(keyed_hash(app, &[caller.merchant.as_bytes(), &json]))
}

/// HMAC-SHA-256 of a request under a key of the service's: comparable, and no oracle for what it covers.
pub(crate) fn keyed_hash(app: &App, parts: &[&[u8]]) -> [u8; 32] {
    let key = app.root.derived("request-hash", b"");
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(&key[..]).expect("any key");
    mac.update(&crate::crypto::length_prefixed(parts));
    mac.finalize().into_bytes().into()
}

fn without_secret(exchanged: &Exchanged) -> Result<Value, Error> {
    let mut value = serde_json::to_value(exchanged)
        .map_err(|_| Error::Internal("an answer could not be written"))?;
    if let Some(grant) = &exchanged.grant {
        value["grant"]["id"] = Value::from(grant.id.public());
    }
    Ok(value)
}

fn with_secret(mut answer: Value, grant: Option<&Grant>) -> Value {
    if let Some(grant) = grant {
        answer["grant"]["id"] = Value::from(grant.expose());
    }
    answer
}

fn parse_answer(bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes)
        .map_err(|_| Error::Internal("a recorded answer could not be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idempotency_keys_come_bare_or_quoted() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                "idempotency-key",
                HeaderValue::from_str(text).expect("a header"),
            );
            idempotency_key(&headers).ok()
        };
        assert_eq!(of("abc").as_deref(), Some("abc"));
        assert_eq!(of("\"abc\"").as_deref(), Some("abc"));
        assert_eq!(of(""), None);
        assert_eq!(of(&"x".repeat(256)), None);
    }
}
