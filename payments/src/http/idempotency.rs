//! Idempotency of POST: claimed before the work, compared, replayed for 24 hours, resumed when interrupted.
//!
//! A claim names the object it makes (its subject) and is leased in milliseconds of the system's clock while somebody
//! works on it. A claim whose lease has run out was interrupted: the next call with the key takes the lease and runs
//! the same work for the same subject, which finds what is already done. Two workers at once are harmless: each step
//! is a conditional update, and the vault sends an attempt once.

use std::future::Future;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use service::Clock;
use store::idempotency::{self, Claim};
use store::{Tx, params};

use super::call::Call;
use crate::app::{App, Owner};
use crate::error::{Error, Refusal};

const KEPT_SECONDS: i64 = 24 * 60 * 60;
const LEASE_MS: i64 = 6_000;
const RENEW: Duration = Duration::from_secs(2);

/// Runs `work` under the call's idempotency key. `prefix` begins the id of the object that it makes; the id is handed
/// to `work`, and is the same again when interrupted work is resumed.
///
/// The work runs in a task of its own: a client that hangs up does not stop it halfway.
pub async fn run<F, W>(call: Call, prefix: &'static str, work: F) -> Response
where
    F: FnOnce(Call, String) -> W + Send + 'static,
    W: Future<Output = Result<Value, Error>> + Send + 'static,
{
    let task = async move {
        let echoed = call.origin.idempotency_key.clone();
        let mut response = match claimed(call, prefix, work).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        };
        if let Some(value) = echoed.and_then(|key| HeaderValue::from_str(&key).ok()) {
            response.headers_mut().insert("idempotency-key", value);
        }
        response
    };
    let done = tokio::spawn(service::traces::carried(task)).await;
    done.unwrap_or_else(|_| Error::Internal("the call's task panicked").into_response())
}

async fn claimed<F, W>(call: Call, prefix: &'static str, work: F) -> Result<Response, Error>
where
    F: FnOnce(Call, String) -> W,
    W: Future<Output = Result<Value, Error>>,
{
    let Some(key) = call.origin.idempotency_key.clone() else {
        let subject = vault_api::ids::new_id(prefix);
        return work(call, subject)
            .await
            .map(|body| axum::Json(body).into_response());
    };
    let app = call.app.clone();
    let claim = Held {
        scope: scope(&call.owner, call.browser),
        key,
    };
    let subject = match claim.take(&app, call.hash, prefix).await? {
        Taken::Work(subject) => subject,
        Taken::Replay(status, sealed) => return claim.replay(&app, status, &sealed),
    };
    let result = tokio::select! {
        result = work(call, subject) => result,
        never = claim.keep_leased(&app) => match never {},
    };
    claim.settle(&app, result).await
}

// A browser's keys are its own: it can neither take nor see what the merchant's server uses.
fn scope(owner: &Owner, browser: bool) -> String {
    format!(
        "{}:{}{}",
        owner.merchant,
        if owner.livemode { "live" } else { "test" },
        if browser { ":browser" } else { "" }
    )
}

/// A claimed key.
#[derive(Clone)]
struct Held {
    scope: String,
    key: String,
}

enum Taken {
    /// Ours to do, or to go on with.
    Work(String),
    /// Done before.
    Replay(u16, Vec<u8>),
}

impl Held {
    async fn take(&self, app: &App, hash: [u8; 32], prefix: &'static str) -> Result<Taken, Error> {
        let (held, now) = (self.clone(), app.clock.now());
        let fresh = vault_api::ids::new_id(prefix);
        let claim = move |tx: &mut Tx<'_>| -> Result<Taken, Error> {
            let (scope, key, expires) = (&held.scope, &held.key, now + KEPT_SECONDS);
            match idempotency::claim(tx, scope, key, &hash, now, expires)? {
                Claim::New => {
                    tx.execute(
                        "delete from claims where scope = $1 and key = $2",
                        params![scope, key],
                    )?;
                    tx.execute(
                        "insert into claims (scope, key, subject, leased_until_ms, expires_at)
                         values ($1, $2, $3, $4, $5)",
                        params![scope, key, &fresh, lease_end(), expires],
                    )?;
                    Ok(Taken::Work(fresh.clone()))
                }
                Claim::Replay { status, body } => Ok(Taken::Replay(status, body)),
                Claim::Mismatch => Err(mismatch()),
                Claim::Open => {
                    let row = tx.first(
                        "update claims set leased_until_ms = $3
                         where scope = $1 and key = $2 and leased_until_ms < $4 returning subject",
                        params![scope, key, lease_end(), Clock::system().now_ms()],
                    )?;
                    let subject = row.ok_or_else(in_use)?.get(0)?;
                    tracing::info!("an interrupted call is resumed");
                    Ok(Taken::Work(subject))
                }
            }
        };
        app.store.write(claim).await
    }

    /// Holds the lease for as long as it is polled.
    async fn keep_leased(&self, app: &App) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(RENEW).await;
            if let Err(error) = self.lease_until(app, lease_end()).await {
                tracing::warn!(%error, "a lease could not be renewed");
            }
        }
    }

    async fn lease_until(&self, app: &App, until_ms: i64) -> Result<(), Error> {
        let held = self.clone();
        let renew = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            tx.execute(
                "update claims set leased_until_ms = $3 where scope = $1 and key = $2",
                params![&held.scope, &held.key, until_ms],
            )?;
            Ok(())
        };
        app.store.write(renew).await
    }

    /// 2xx and 402 are kept for replays. Another refusal did nothing: the key is given back. A fault of ours leaves
    /// the claim open and unleased, so that the next call goes on where this one stopped.
    async fn settle(&self, app: &App, result: Result<Value, Error>) -> Result<Response, Error> {
        let (status, body) = match &result {
            Ok(body) => (StatusCode::OK, body.to_string()),
            Err(error) => (error.status(), error.body().to_string()),
        };
        if status.is_server_error() {
            self.lease_until(app, 0).await?;
            return result.map(|body| axum::Json(body).into_response());
        }
        let keep = status.is_success() || status == StatusCode::PAYMENT_REQUIRED;
        let sealed = app.seal.seal(&self.aad(), body.as_bytes());
        let held = self.clone();
        let finish = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            let (scope, key) = (&held.scope, &held.key);
            if keep {
                idempotency::complete(tx, scope, key, status.as_u16(), &sealed)?;
            } else {
                idempotency::release(tx, scope, key)?;
            }
            tx.execute(
                "delete from claims where scope = $1 and key = $2",
                params![scope, key],
            )?;
            Ok(())
        };
        app.store.write(finish).await?;
        Ok(answer(status, body.into()))
    }

    fn replay(&self, app: &App, status: u16, sealed: &[u8]) -> Result<Response, Error> {
        let body = app.seal.open(&self.aad(), sealed);
        let body = body.map_err(|_| Error::Internal("a stored answer cannot be opened"))?;
        let status =
            StatusCode::from_u16(status).map_err(|_| Error::Internal("a stored status is none"))?;
        let mut response = answer(status, Bytes::copy_from_slice(&body));
        response
            .headers_mut()
            .insert("idempotent-replayed", HeaderValue::from_static("true"));
        Ok(response)
    }

    fn aad(&self) -> String {
        format!("idempotency|{}|{}", self.scope, self.key)
    }
}

fn lease_end() -> i64 {
    Clock::system().now_ms() + LEASE_MS
}

fn answer(status: StatusCode, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn mismatch() -> Error {
    let message = "Keys for idempotent requests can only be used with the same endpoint and the same parameters they \
                   were first used with. Use another key for another request.";
    Refusal::plain(message).kind("idempotency_error").into()
}

fn in_use() -> Error {
    let message = "There is currently another in-progress request using this Idempotent Key (that probably means you \
                   submitted twice, and the other request is still going through). Please try again later.";
    Refusal::new("idempotency_key_in_use", message)
        .kind("idempotency_error")
        .status(StatusCode::CONFLICT)
        .into()
}

/// Forgets what is older than a day.
pub fn sweep(tx: &mut Tx<'_>, now: i64) -> Result<(), Error> {
    idempotency::sweep(tx, now)?;
    tx.execute("delete from claims where expires_at <= $1", params![now])?;
    Ok(())
}
