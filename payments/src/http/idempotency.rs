//! Idempotency of POST: claimed before the work, compared, replayed for 24 hours, resumed when interrupted.
//!
//! A claim names the object it makes (its subject) and is leased in milliseconds of the system's clock while somebody
//! works on it. A claim whose lease has run out was interrupted: the next call with the key takes the lease and runs
//! the same work for the same subject, which finds what is already done. Two workers at once are harmless: each step
//! is a conditional update, and the vault sends an attempt once.
//!
//! Work that changes nothing here before its first transaction claims its key in that transaction ([`run_claiming`]): a
//! commit less.

use std::future::Future;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use service::Clock;
use store::idempotency::{self, Claim};
use store::{Tx, params};

use super::call::Call;
use super::made::{Made, answer, told};
use super::subject::Subject;
use crate::app::{App, Owner, Shared};
use crate::error::{Error, Refusal};

const KEPT_SECONDS: i64 = 24 * 60 * 60;
const LEASE_MS: i64 = 6_000;
const RENEW: Duration = Duration::from_secs(2);

/// Runs `work` under the call's idempotency key. `prefix` begins the id of the object that it makes; the id is handed
/// to `work`, and is the same again when interrupted work is resumed.
///
/// The work runs in a task of its own: a client that hangs up does not stop it halfway.
pub async fn run<F, W, T>(call: Call, prefix: &'static str, work: F) -> Response
where
    F: FnOnce(Call, String) -> W + Send + 'static,
    W: Future<Output = Result<T, Error>> + Send + 'static,
    T: Into<Made> + 'static,
{
    in_task(call, move |call| claimed(call, prefix, work)).await
}

/// [`run`] for work that claims the key itself, with [`Subject::claim`] in the first transaction that changes anything.
pub async fn run_claiming<F, W, T>(call: Call, prefix: &'static str, work: F) -> Response
where
    F: FnOnce(Call, Subject) -> W + Send + 'static,
    W: Future<Output = Result<T, Error>> + Send + 'static,
    T: Into<Made> + 'static,
{
    in_task(call, move |call| claiming(call, prefix, work)).await
}

async fn in_task<F, W>(call: Call, work: F) -> Response
where
    F: FnOnce(Call) -> W + Send + 'static,
    W: Future<Output = Result<Response, Error>> + Send + 'static,
{
    let task = async move {
        let done = work(call).await;
        done.unwrap_or_else(Error::into_response)
    };
    let done = tokio::spawn(service::traces::carried(task)).await;
    done.unwrap_or_else(|_| Error::Internal("the call's task panicked").into_response())
}

async fn claimed<F, W, T>(call: Call, prefix: &'static str, work: F) -> Result<Response, Error>
where
    F: FnOnce(Call, String) -> W,
    W: Future<Output = Result<T, Error>>,
    T: Into<Made>,
{
    let Some(claim) = Held::of(&call) else {
        let subject = vault_api::ids::ordered_id(prefix);
        return plain(Box::pin(work(call, subject)).await.map(Into::into));
    };
    let app = call.app.clone();
    let subject = match claim.take(&app, call.hash, prefix).await? {
        Taken::Work(subject) => subject,
        Taken::Replay(status, sealed) => return claim.replay(&app, status, &sealed),
    };
    let result = claim.leased_for(&app, work(call, subject)).await;
    claim.settle(&app, None, result).await
}

async fn claiming<F, W, T>(call: Call, prefix: &'static str, work: F) -> Result<Response, Error>
where
    F: FnOnce(Call, Subject) -> W,
    W: Future<Output = Result<T, Error>>,
    T: Into<Made>,
{
    let fresh = vault_api::ids::ordered_id(prefix);
    let Some(claim) = Held::of(&call) else {
        let result = Box::pin(work(call, Subject::fresh(fresh, None))).await;
        return plain(result.map(Into::into));
    };
    let app = call.app.clone();
    let subject = if claim.is_known(&app).await? {
        match claim.take(&app, call.hash, prefix).await? {
            Taken::Work(subject) => Subject::resumed(subject),
            Taken::Replay(status, sealed) => return claim.replay(&app, status, &sealed),
        }
    } else {
        Subject::fresh(fresh, Some((claim.clone(), call.hash)))
    };
    let result = claim.leased_for(&app, work(call, subject.clone())).await;
    claim.settle(&app, Some(&subject), result).await
}

// An error answers for itself: it logs what it is.
fn plain(result: Result<Made, Error>) -> Result<Response, Error> {
    let (status, body) = told(&Ok(result?));
    Ok(answer(status, body.into()))
}

/// Whether an answer is kept for replays.
pub fn is_kept(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::PAYMENT_REQUIRED
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

/// A key, claimed or about to be.
#[derive(Debug, Clone)]
pub struct Held {
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
    fn of(call: &Call) -> Option<Self> {
        let key = call.origin.idempotency_key.clone()?;
        let scope = scope(&call.owner, call.browser);
        Some(Self { scope, key })
    }

    async fn take(&self, app: &App, hash: [u8; 32], prefix: &'static str) -> Result<Taken, Error> {
        let (held, now) = (self.clone(), app.clock.now());
        let fresh = vault_api::ids::ordered_id(prefix);
        let claim = move |tx: &mut Tx<'_>| -> Result<Taken, Error> {
            match held.claim(tx, &hash, &fresh, now)? {
                Claim::New => Ok(Taken::Work(fresh.clone())),
                Claim::Replay { status, body } => Ok(Taken::Replay(status, body)),
                Claim::Mismatch => Err(mismatch()),
                Claim::Open => {
                    let row = tx.first(
                        "update claims set leased_until_ms = $3
                         where scope = $1 and key = $2 and leased_until_ms < $4 returning subject",
                        params![
                            &held.scope,
                            &held.key,
                            lease_end(),
                            Clock::system().now_ms()
                        ],
                    )?;
                    let subject = row.ok_or_else(in_use)?.get(0)?;
                    tracing::info!("an interrupted call is resumed");
                    Ok(Taken::Work(subject))
                }
            }
        };
        app.store.write(claim).await
    }

    /// Whether the key was claimed before.
    async fn is_known(&self, app: &App) -> Result<bool, Error> {
        let held = self.clone();
        let read = move |tx: &mut Tx<'_>| -> Result<bool, Error> {
            Ok(idempotency::is_known(tx, &held.scope, &held.key)?)
        };
        app.store.look_up(read).await
    }

    /// A new claim names its subject and is leased.
    pub fn claim(
        &self,
        tx: &mut Tx<'_>,
        hash: &[u8; 32],
        subject: &str,
        now: i64,
    ) -> Result<Claim, Error> {
        let (scope, key, expires) = (&self.scope, &self.key, now + KEPT_SECONDS);
        let claim = idempotency::claim(tx, scope, key, hash, now, expires)?;
        if claim == Claim::New {
            tx.execute(
                "insert into claims (scope, key, subject, leased_until_ms, expires_at) values ($1, $2, $3, $4, $5)
                 on conflict (scope, key) do update
                 set subject = excluded.subject, leased_until_ms = excluded.leased_until_ms,
                     expires_at = excluded.expires_at",
                params![scope, key, subject, lease_end(), expires],
            )?;
        }
        Ok(claim)
    }

    /// What `work` comes to; the lease is held meanwhile.
    async fn leased_for<W, T>(&self, app: &App, work: W) -> Result<Made, Error>
    where
        W: Future<Output = Result<T, Error>>,
        T: Into<Made>,
    {
        // On the heap: a payment's future is large, and would be moved with each future that it is a part of.
        let work = Box::pin(work);
        tokio::select! {
            result = work => result.map(Into::into),
            never = self.keep_leased(app) => match never {},
        }
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
    async fn settle(
        &self,
        app: &App,
        subject: Option<&Subject>,
        result: Result<Made, Error>,
    ) -> Result<Response, Error> {
        let (status, body) = told(&result);
        let unclaimed = subject.is_some_and(Subject::is_unclaimed);
        if status.is_server_error() {
            if !unclaimed {
                self.lease_until(app, 0).await?;
            }
            return plain(result);
        }
        if is_kept(status) && subject.is_some_and(Subject::is_answered) {
            return Ok(answer(status, body.into()));
        }
        if unclaimed && !is_kept(status) {
            // What stood in its way may be what another call with the key has done, which claimed it with that.
            return match self.is_known(app).await? {
                true => Err(in_use()),
                false => Ok(answer(status, body.into())),
            };
        }
        let subject = subject.filter(|_| unclaimed).cloned();
        let (held, shared, text) = (self.clone(), app.clone(), body.clone());
        let finish = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            if let Some(subject) = &subject {
                subject.claim(tx, shared.clock.now())?;
            }
            if is_kept(status) {
                held.keep(tx, &shared, status, &text)
            } else {
                idempotency::release(tx, &held.scope, &held.key)?;
                held.forget_subject(tx)
            }
        };
        app.store.write(finish).await?;
        Ok(answer(status, body.into()))
    }

    /// Keeps the answer for replays.
    pub fn keep(
        &self,
        tx: &mut Tx<'_>,
        app: &Shared,
        status: StatusCode,
        body: &str,
    ) -> Result<(), Error> {
        let sealed = app.seal.seal(&self.aad(), body.as_bytes());
        idempotency::complete(tx, &self.scope, &self.key, status.as_u16(), &sealed)?;
        self.forget_subject(tx)
    }

    fn forget_subject(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        tx.execute(
            "delete from claims where scope = $1 and key = $2",
            params![&self.scope, &self.key],
        )?;
        Ok(())
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

pub fn mismatch() -> Error {
    let message = "Keys for idempotent requests can only be used with the same endpoint and the same parameters they \
                   were first used with. Use another key for another request.";
    Refusal::plain(message).kind("idempotency_error").into()
}

pub fn in_use() -> Error {
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
