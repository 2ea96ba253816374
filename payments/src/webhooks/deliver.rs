//! The delivery worker: leases what is due, posts it signed anew, and records how it went.
//!
//! At least once: a worker that dies after the post loses its lease, and the event is delivered again under its id.
//! Each endpoint has so many posts under way at most, so that one that hangs keeps no other waiting.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde::Deserialize;
use service::Client;
use service::egress::Reach;
use service::listen::Stop;
use store::outbox::{self, Leased};
use store::{Tx, params};
use tokio::task::JoinSet;

use super::endpoints::{self, Endpoint};
use super::records::{self, Try};
use super::{retry, sign};
use crate::app::App;
use crate::error::Error;
use crate::http::params::from_column;

const POLL: Duration = Duration::from_millis(500);
/// Posts under way at once: in all, and to one endpoint.
const MOST: usize = 256;
const MOST_PER_ENDPOINT: usize = 32;
/// Longer than a delivery may take.
const LEASE: i64 = 60;
const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(20);
/// Posts under way may end when the program is told to stop; what does not is delivered again by another.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs until `stop`.
pub async fn run(app: App, stop: Stop) {
    let mut worker = Worker {
        clients: Clients::new(app.webhook_loopback),
        app,
        busy: Busy::default(),
        tasks: JoinSet::new(),
    };
    loop {
        let full = worker.take().await.unwrap_or_else(|error| {
            tracing::error!(%error, "webhook delivery");
            false
        });
        tokio::select! {
            () = stop.wait() => break,
            () = worker.app.deliver.notified() => {}
            Some(_) = worker.tasks.join_next(), if full => {}
            () = tokio::time::sleep(POLL) => {}
        }
        while worker.tasks.try_join_next().is_some() {}
    }
    let rest = async { while worker.tasks.join_next().await.is_some() {} };
    drop(tokio::time::timeout(DRAIN, rest).await);
}

struct Worker {
    app: App,
    clients: Clients,
    busy: Busy,
    tasks: JoinSet<()>,
}

/// What is under way: pieces of work by topic.
#[derive(Clone, Default)]
struct Busy(Arc<Mutex<HashMap<String, HashSet<String>>>>);

impl Busy {
    /// How many more may be begun, of this topic and in all.
    fn room(&self, topic: &str) -> usize {
        let busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = busy.values().map(HashSet::len).sum();
        let here = busy.get(topic).map_or(0, HashSet::len);
        MOST_PER_ENDPOINT
            .saturating_sub(here)
            .min(MOST.saturating_sub(all))
    }

    /// None when it is under way already: a clock that jumps ends a lease early.
    fn begin(&self, topic: &str, work: &str) -> Option<Place> {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = busy
            .entry(topic.to_owned())
            .or_default()
            .insert(work.to_owned());
        fresh.then(|| Place(self.clone(), topic.to_owned(), work.to_owned()))
    }
}

/// A place among what is under way, until it is dropped.
struct Place(Busy, String, String);

impl Drop for Place {
    fn drop(&mut self) {
        let Self(Busy(busy), topic, work) = self;
        let mut busy = busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(works) = busy.get_mut(topic) {
            works.remove(work);
            if works.is_empty() {
                busy.remove(topic);
            }
        }
    }
}

impl Worker {
    /// Begins what is due and has room; true when something may be waiting for room.
    async fn take(&mut self) -> Result<bool, Error> {
        let now = self.app.clock.now();
        let due =
            move |tx: &mut Tx<'_>| Ok::<_, Error>(outbox::due_topics(tx, records::TOPICS, now)?);
        let mut full = false;
        for topic in self.app.store.look_up(due).await? {
            let room = self.busy.room(&topic);
            if room == 0 {
                full = true;
                continue;
            }
            let (most, named) = (room as i64, topic.clone());
            let lease = move |tx: &mut Tx<'_>| {
                Ok::<_, Error>(outbox::lease(tx, &named, most, now, now + LEASE)?)
            };
            let leased = self.app.store.write(lease).await?;
            full |= leased.len() == room;
            for work in leased {
                self.begin(&topic, work);
            }
        }
        Ok(full)
    }

    fn begin(&mut self, topic: &str, work: Leased) {
        let Some(place) = self.busy.begin(topic, &work.id) else {
            return;
        };
        let (app, clients) = (self.app.clone(), self.clients.clone());
        self.tasks.spawn(async move {
            if let Err(error) = deliver(&app, &clients, &work).await {
                tracing::error!(delivery = work.id, %error, "webhook delivery");
            }
            drop(place);
        });
    }
}

/// One client per mode: where they may connect to differs.
#[derive(Clone)]
struct Clients {
    live: Client,
    test: Client,
}

impl Clients {
    fn new(loopback: bool) -> Self {
        let test = if loopback {
            Reach::PublicOrLoopback
        } else {
            Reach::Public
        };
        Self {
            live: Client::within(Reach::Public, CONNECT, TOTAL),
            test: Client::within(test, CONNECT, TOTAL),
        }
    }
}

/// What the outbox holds.
#[derive(Deserialize)]
struct Payload {
    event: String,
    endpoint: String,
}

async fn deliver(app: &App, clients: &Clients, work: &Leased) -> Result<(), Error> {
    let payload: Payload = from_column(&work.payload)?;
    let (id, event, to) = (
        work.id.clone(),
        payload.event.clone(),
        payload.endpoint.clone(),
    );
    let read = move |tx: &mut Tx<'_>| -> Result<_, Error> {
        if !records::is_current(tx, &id, &event, &to)? {
            return Ok(None);
        }
        let body = tx.first("select body from events where id = $1", params![&event])?;
        let body: Option<String> = body.map(|row| row.get(0)).transpose()?;
        Ok(Some((Endpoint::by_id(tx, &to)?, body)))
    };
    match app.store.read(read).await? {
        None => end(app, work, None).await,
        Some((Some(endpoint), Some(body))) if endpoint.enabled => {
            let began = Instant::now();
            let at_ms = app.clock.now_ms();
            let posted = post(app, clients, &endpoint, &payload.event, at_ms, body).await?;
            let tried = Try {
                event: payload.event,
                endpoint: payload.endpoint,
                at_ms,
                took_ms: began.elapsed().as_millis() as i64,
                status: posted.status.map(|status| status.as_u16()),
                reason: posted.reason,
            };
            settle(app, work, &endpoint, tried, posted.after).await
        }
        Some(_) => end(app, work, Some(payload)).await,
    }
}

// Nobody to deliver to, or nothing left to deliver.
async fn end(app: &App, work: &Leased, undeliverable: Option<Payload>) -> Result<(), Error> {
    let (id, now_ms) = (work.id.clone(), app.clock.now_ms());
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        if let Some(Payload { event, endpoint }) = &undeliverable {
            let why = "the endpoint is disabled or deleted";
            records::give_up(tx, event, endpoint, why, now_ms)?;
        }
        Ok(outbox::done(tx, &id, now_ms.div_euclid(1000))?)
    };
    app.store.write(write).await
}

/// What a post came to.
struct Posted {
    status: Option<StatusCode>,
    /// Why it is no delivery.
    reason: Option<String>,
    /// When the endpoint would like to be asked again, seconds.
    after: Option<i64>,
}

async fn post(
    app: &App,
    clients: &Clients,
    endpoint: &Endpoint,
    event: &str,
    at_ms: i64,
    body: String,
) -> Result<Posted, Error> {
    let now = at_ms.div_euclid(1000);
    let failed = |reason: String| Posted {
        status: None,
        reason: Some(reason),
        after: None,
    };
    let livemode = endpoint.owner.livemode;
    if livemode && !endpoint.url.starts_with("https://") {
        return Ok(failed("live mode delivers over https only".into()));
    }
    let secrets = endpoint.secrets.signing(&app.seal, &endpoint.id, now)?;
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&endpoint.url)
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .header(header::USER_AGENT, "Cardseal/1.0 (webhooks)");
    let secrets: Vec<&str> = secrets.iter().map(|secret| secret.as_str()).collect();
    for (name, value) in sign::headers(&secrets, event, now, &body) {
        request = request.header(name, value);
    }
    let request = match request.body(Bytes::from(body)) {
        Ok(request) => request,
        Err(error) => return Ok(failed(error.to_string())),
    };
    let client = if livemode {
        &clients.live
    } else {
        &clients.test
    };
    Ok(match client.send(request).await {
        Ok(response) => {
            let status = response.status();
            let reason = match status {
                _ if status.is_success() => None,
                StatusCode::GONE => Some("the endpoint says that it is gone".to_owned()),
                // The address that was registered is the one that is trusted.
                _ if status.is_redirection() => Some("redirects are not followed".to_owned()),
                _ => Some("the endpoint did not answer with a success".to_owned()),
            };
            Posted {
                status: Some(status),
                reason,
                after: retry::retry_after(&response, now),
            }
        }
        Err(error) => failed(error.to_string()),
    })
}

async fn settle(
    app: &App,
    work: &Leased,
    endpoint: &Endpoint,
    tried: Try,
    after: Option<i64>,
) -> Result<(), Error> {
    let now_ms = app.clock.now_ms();
    let now = now_ms.div_euclid(1000);
    let gone = tried.status == Some(StatusCode::GONE.as_u16());
    let jitter = if endpoint.owner.livemode {
        retry::jitter()
    } else {
        0.0
    };
    let wait = endpoint.policy().wait(work.attempts, jitter);
    let again = wait
        .filter(|_| tried.reason.is_some() && !gone)
        .map(|wait| now + wait.max(after.unwrap_or(0)));
    let state = match (&tried.reason, again) {
        (None, _) => "delivered",
        (Some(_), Some(_)) => "pending",
        (Some(_), None) => "failed",
    };
    tracing::info!(
        event = tried.event,
        endpoint = tried.endpoint,
        state,
        status = tried.status,
        why = tried.reason,
        "webhook"
    );
    app.metrics
        .count("payments_webhook_tries_total", &[("state", state)]);
    let id = work.id.clone();
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        if !records::is_current(tx, &id, &tried.event, &tried.endpoint)? {
            // Sent once more meanwhile, or delivered by a worker that had lost its lease.
            return Ok(outbox::done(tx, &id, now)?);
        }
        records::record(tx, &tried, state, again, now_ms)?;
        if gone {
            endpoints::disable(tx, &tried.endpoint)?;
        }
        match again {
            Some(due_at) => outbox::again(tx, &id, due_at)?,
            None => outbox::done(tx, &id, now)?,
        }
        Ok(())
    };
    app.store.write(write).await
}
