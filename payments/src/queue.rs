//! Confirmations that are accepted at once and completed by a worker (`Prefer: respond-async`).
//!
//! Accepting one takes the intent (`processing`, [`Intent::queued`]) and puts work of the confirmation's id into the outbox, in
//! the transaction that claims the key and keeps the answer. The worker leases it and confirms as a resumed call does: from
//! the first attempt on nothing is different. While work is left, attempts of it are not the resolver's, so that one that
//! never started is sent after all and not given up.

use std::collections::HashSet;
use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::listen::Stop;
use store::outbox::{self, Leased};
use store::{Tx, params};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::app::{App, Origin, Owner};
use crate::connectors::responses::PROCESSING_ERROR;
use crate::cvc_tokens;
use crate::error::Error;
use crate::events;
use crate::exchange;
use crate::http::expand::Expand;
use crate::http::made::Made;
use crate::http::params::from_column;
use crate::http::subject::Subject;
use crate::intents::begin;
use crate::intents::confirm::{self, Answer, Confirm, Paying, Reply, Source};
use crate::intents::options::Options;
use crate::intents::{Intent, LISTED};
use crate::payment_methods::{PaymentMethod, forget_token};

const TOPIC: &str = "confirm";
const POLL: Duration = Duration::from_millis(500);
/// A worker that is alive renews its lease; what one that died was doing is taken up after this, seconds.
const LEASE: i64 = 10;
const RENEW: Duration = Duration::from_secs(3);
/// Waits between tries while the vault or every acquirer is out of reach, seconds.
const WAITS: [i64; 5] = [1, 2, 5, 15, 30];
/// What could not be begun for so long is given up: a token lives no longer, and the buyer has gone. Seconds.
const GIVE_UP: i64 = 15 * 60;
/// Confirmations under way may end when the program is told to stop; another process takes up what does not.
const DRAIN: Duration = Duration::from_secs(10);

/// How much may wait, and who is told that something does.
pub struct Queue {
    limit: i64,
    workers: usize,
    /// How long the vault is waited for before the answer.
    pub foresight: Duration,
    bell: Notify,
}

impl Queue {
    /// At most `limit` confirmations wait, in all processes together; this one works on `workers` at once.
    pub fn new(limit: u32, workers: u32, foresight: Duration) -> Self {
        Self {
            limit: i64::from(limit),
            workers: workers as usize,
            foresight,
            bell: Notify::new(),
        }
    }
}

/// What the worker has to know of a confirmation besides the rows that it left.
#[derive(Debug, Serialize, Deserialize)]
struct Work {
    merchant: String,
    livemode: bool,
    intent: String,
    request_id: Option<String>,
    idempotency_key: Option<String>,
    /// Unix seconds.
    accepted_at: i64,
}

/// Accepts a confirmation and answers it. What can be known to fail is refused instead.
pub async fn accept(app: &App, wanted: &Confirm, mut paying: Paying) -> Result<Answer, Error> {
    if paying.method.sealed_token.is_some() {
        // Its token can have been exchanged for an intent only that was there before.
        let is_first = wanted.confirmation.is_fresh && wanted.confirmation.id == wanted.intent;
        let card = exchange::foresee(app, &paying.method, is_first).await?;
        paying.method.card = card.or(paying.method.card);
    }
    let (shared, wanted) = (app.clone(), wanted.clone());
    let subject = wanted.confirmation.clone();
    let write = move |tx: &mut Tx<'_>| -> Result<Answer, Error> {
        let (id, now_ms) = (&wanted.confirmation.id, shared.clock.now_ms());
        let now = now_ms.div_euclid(1000);
        wanted.confirmation.claim(tx, now)?;
        // A resumed call finds what it has accepted before.
        let is_new = !outbox::is_known(tx, id)?;
        if is_new {
            if outbox::waiting(tx, TOPIC)?.count >= shared.queue.limit {
                return Err(Error::QueueFull);
            }
            begin::take(tx, &shared, &wanted, &paying, Some(id))?;
            if paying.is_new {
                paying.method.insert(tx)?;
            }
            outbox::put(tx, id, TOPIC, &Work::of(&wanted, now).text(), now)?;
        }
        let object = Intent::load(tx, &wanted.owner, &wanted.intent)?.object(&shared.seal);
        if is_new {
            let (owner, origin) = (&wanted.owner, &wanted.origin);
            let kind = "payment_intent.processing";
            events::emit(tx, owner, kind, object.clone(), origin, now_ms)?;
        }
        let expand = &wanted.reply.expand;
        let object = expand.apply(tx, &shared, &wanted.owner, object)?;
        let answer = wanted.reply.shown(Ok(Made::accepted(object)));
        wanted.confirmation.keep(tx, &shared, &answer)?;
        Ok(answer)
    };
    let accepted = app.store.write(write).await;
    let outcome = match &accepted {
        Ok(_) => "accepted",
        Err(Error::QueueFull) => "full",
        Err(_) => "refused",
    };
    app.metrics
        .count("payments_queued_total", &[("outcome", outcome)]);
    let answer = accepted?;
    subject.has_claimed();
    subject.has_kept();
    app.deliver.notify_one();
    app.queue.bell.notify_one();
    Ok(answer)
}

/// Whether the worker has still to do with this confirmation.
pub async fn holds(app: &App, confirmation: &str) -> Result<bool, Error> {
    let id = confirmation.to_owned();
    let read = move |tx: &mut Tx<'_>| Ok::<_, Error>(outbox::is_open(tx, &id)?);
    app.store.look_up(read).await
}

/// The worker; runs until `stop`.
pub async fn run(app: App, stop: Stop) {
    let (mut tasks, mut running) = (JoinSet::new(), HashSet::new());
    loop {
        if let Err(error) = measure(&app).await {
            tracing::error!(%error, "the queue could not be measured");
        }
        let room = app.queue.workers.saturating_sub(running.len());
        let leased = lease(&app, room).await.unwrap_or_else(|error| {
            tracing::error!(%error, "queued confirmations could not be leased");
            vec![]
        });
        for work in leased {
            // A clock that jumps ends a lease early.
            if running.insert(work.id.clone()) {
                tasks.spawn(leased_for(app.clone(), work));
            }
        }
        let is_full = running.len() >= app.queue.workers;
        let ended = tokio::select! {
            () = stop.wait() => break,
            Some(ended) = tasks.join_next() => Some(ended),
            () = app.queue.bell.notified(), if !is_full => None,
            () = tokio::time::sleep(POLL) => None,
        };
        let more = std::iter::from_fn(|| tasks.try_join_next()).collect::<Vec<_>>();
        for id in ended.into_iter().chain(more).flatten() {
            running.remove(&id);
        }
    }
    let rest = async { while tasks.join_next().await.is_some() {} };
    drop(tokio::time::timeout(DRAIN, rest).await);
}

async fn measure(app: &App) -> Result<(), Error> {
    let read = |tx: &mut Tx<'_>| Ok::<_, Error>(outbox::waiting(tx, TOPIC)?);
    let waiting = app.store.look_up(read).await?;
    let oldest = waiting.oldest.map_or(0, |at| app.clock.now() - at);
    let metrics = &app.metrics;
    metrics.set("payments_queue_depth", &[], waiting.count as f64);
    metrics.set("payments_queue_oldest_seconds", &[], oldest.max(0) as f64);
    Ok(())
}

async fn lease(app: &App, most: usize) -> Result<Vec<Leased>, Error> {
    if most == 0 {
        return Ok(vec![]);
    }
    let (most, now) = (most as i64, app.clock.now());
    let lease =
        move |tx: &mut Tx<'_>| Ok::<_, Error>(outbox::lease(tx, TOPIC, most, now, now + LEASE)?);
    app.store.write(lease).await
}

// Works on it and holds its lease meanwhile; its id.
async fn leased_for(app: App, leased: Leased) -> String {
    let work = Box::pin(work_on(&app, &leased));
    let renew = async {
        loop {
            tokio::time::sleep(RENEW).await;
            if let Err(error) = put_off(&app, &leased.id, LEASE).await {
                tracing::warn!(%error, "a lease could not be renewed");
            }
        }
    };
    let done: Result<(), Error> = tokio::select! { done = work => done, never = renew => never };
    if let Err(error) = done {
        tracing::error!(id = leased.id, %error, "a queued confirmation");
    }
    leased.id
}

async fn put_off(app: &App, id: &str, seconds: i64) -> Result<(), Error> {
    let (id, until) = (id.to_owned(), app.clock.now() + seconds);
    let write = move |tx: &mut Tx<'_>| Ok::<_, Error>(outbox::put_off(tx, &id, until)?);
    app.store.write(write).await
}

async fn work_on(app: &App, leased: &Leased) -> Result<(), Error> {
    let work: Work = from_column(&leased.payload)?;
    let accepted_at = work.accepted_at;
    let wanted = work.confirm(app, &leased.id).await?;
    let error = match Box::pin(confirm::confirm(app, &wanted)).await {
        // Declined: settled like any decline.
        Ok(_) | Err(Error::Card(_)) => None,
        Err(error) => Some(error),
    };
    let is_late = app.clock.now() - accepted_at >= GIVE_UP;
    let over = error.as_ref().and_then(|error| Over::of(error, is_late));
    if let (Some(error), None) = (&error, &over) {
        tracing::warn!(id = leased.id, %error, "a queued confirmation waits");
    }
    conclude(app, &wanted, leased.attempts, over).await
}

/// Why a confirmation that was never begun never will be.
struct Over {
    /// Stripe's error object.
    error: Value,
    /// The token is of no use any more.
    forget: bool,
}

impl Over {
    fn of(error: &Error, is_late: bool) -> Option<Self> {
        match error {
            Error::Refused(_) if error.status() != StatusCode::TOO_MANY_REQUESTS => {
                let mut error = error.body()["error"].take();
                error.as_object_mut()?.remove("payment_intent");
                Some(Self {
                    error,
                    forget: true,
                })
            }
            _ if is_late => Some(Self {
                error: json!({
                    "type": "card_error",
                    "code": PROCESSING_ERROR.code,
                    "decline_code": PROCESSING_ERROR.decline_code,
                    "message": PROCESSING_ERROR.message,
                    "advice_code": PROCESSING_ERROR.advice,
                }),
                forget: false,
            }),
            _ => None,
        }
    }
}

// Done when the confirmation is past its beginning and nothing of it is being sent: what is left then has workers of its own
// (an unknown outcome, an authentication). Or given up, if it was never begun.
async fn conclude(
    app: &App,
    wanted: &Confirm,
    tries: i64,
    over: Option<Over>,
) -> Result<(), Error> {
    let (shared, wanted) = (app.clone(), wanted.clone());
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        let (id, now_ms) = (&wanted.confirmation.id, shared.clock.now_ms());
        let now = now_ms.div_euclid(1000);
        let waits = Intent::load(tx, &wanted.owner, &wanted.intent)?
            .queued
            .as_ref()
            == Some(id);
        if let (true, Some(over)) = (waits, &over) {
            let intent = give_back(tx, &wanted, over)?.object(&shared.seal);
            let kind = "payment_intent.payment_failed";
            events::emit(tx, &wanted.owner, kind, intent, &wanted.origin, now_ms)?;
            return Ok(outbox::done(tx, id, now)?);
        }
        let sql = "select 1 from attempts where confirmation = $1 and state = 'sending'";
        if waits || tx.first(sql, params![id])?.is_some() {
            let place = usize::try_from(tries).unwrap_or(0).min(WAITS.len() - 1);
            return Ok(outbox::put_off(tx, id, now + WAITS[place])?);
        }
        Ok(outbox::done(tx, id, now)?)
    };
    app.store.write(write).await?;
    app.deliver.notify_one();
    Ok(())
}

fn give_back(tx: &mut Tx<'_>, wanted: &Confirm, over: &Over) -> Result<Intent, Error> {
    let Some(Source::Existing(method)) = &wanted.source else {
        return Err(Error::Internal("queued work without a payment method"));
    };
    let mut error = over.error.clone();
    let found = PaymentMethod::find(tx, &wanted.owner, method)?;
    error["payment_method"] = json!(found.map(|method| method.object()));
    let sql = format!(
        "update payment_intents set status = 'requires_payment_method', payment_method = null, queued = null,
             last_payment_error = $2 where id = $1 and queued = $3 returning {}",
        LISTED.columns
    );
    let id = &wanted.confirmation.id;
    let row = tx.first(&sql, params![&wanted.intent, error.to_string(), id])?;
    let row = row.ok_or(Error::Internal("a queued intent is gone"))?;
    cvc_tokens::forget(tx, id)?;
    if over.forget {
        forget_token(tx, method)?;
    }
    Intent::from_row(&row)
}

impl Work {
    fn of(wanted: &Confirm, now: i64) -> Self {
        Self {
            merchant: wanted.owner.merchant.clone(),
            livemode: wanted.owner.livemode,
            intent: wanted.intent.clone(),
            request_id: wanted.origin.request_id.clone(),
            idempotency_key: wanted.origin.idempotency_key.clone(),
            accepted_at: now,
        }
    }

    fn text(&self) -> String {
        json!(self).to_string()
    }

    /// The same confirmation once more: the rows have what the call said.
    async fn confirm(self, app: &App, id: &str) -> Result<Confirm, Error> {
        let owner = Owner {
            merchant: self.merchant,
            livemode: self.livemode,
        };
        let (shared, of, intent) = (app.clone(), owner.clone(), self.intent.clone());
        let confirmation = id.to_owned();
        let read = move |tx: &mut Tx<'_>| -> Result<_, Error> {
            let method = Intent::load(tx, &of, &intent)?.payment_method;
            Ok((method, cvc_tokens::find(tx, &shared.seal, &confirmation)?))
        };
        let (method, cvc_token) = app.store.look_up(read).await?;
        Ok(Confirm {
            owner,
            origin: Origin {
                request_id: self.request_id,
                idempotency_key: self.idempotency_key,
            },
            intent: self.intent,
            confirmation: Subject::resumed(id.to_owned()),
            source: method.map(Source::Existing),
            options: Options {
                cvc_token,
                ..Options::default()
            },
            reply: Reply {
                expand: Expand::default(),
                browser: false,
                early: false,
            },
        })
    }
}
