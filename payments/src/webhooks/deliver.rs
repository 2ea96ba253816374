//! The delivery worker: leases what is due, posts it signed anew, and says how it went.
//!
//! At least once: a worker that dies after the post loses its lease, and the event is delivered again under its id.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use serde::Deserialize;
use service::Client;
use service::listen::Stop;
use store::outbox::{self, Leased};
use store::{Tx, params};
use tokio::task::JoinSet;

use super::endpoints::{self, Endpoint};
use super::sign;
use crate::app::App;
use crate::error::Error;
use crate::events::TOPIC;
use crate::http::params::from_column;

const POLL: Duration = Duration::from_millis(500);
const BATCH: i64 = 64;
/// Longer than a delivery may take.
const LEASE: i64 = 60;
const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(20);

/// Seconds to wait after each failed try: 10 tries over 75.6 hours (the table of Standard Webhooks).
const WAITS: [i64; 9] = [
    5,
    5 * 60,
    30 * 60,
    2 * H,
    5 * H,
    10 * H,
    14 * H,
    20 * H,
    24 * H,
];
const H: i64 = 60 * 60;

/// Runs until `stop`.
pub async fn run(app: App, stop: Stop) {
    let client = Client::new(CONNECT, TOTAL);
    loop {
        // A full batch means that more is waiting: no pause.
        let full = match once(&app, &client).await {
            Ok(count) => count == BATCH as usize,
            Err(error) => {
                tracing::error!(%error, "webhook delivery");
                false
            }
        };
        if full && !stop.is_set() {
            continue;
        }
        tokio::select! {
            () = stop.wait() => return,
            () = app.deliver.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn once(app: &App, client: &Client) -> Result<usize, Error> {
    let now = app.clock.now();
    let lease =
        move |tx: &mut Tx<'_>| Ok::<_, Error>(outbox::lease(tx, TOPIC, BATCH, now, now + LEASE)?);
    let leased = app.store.write(lease).await?;
    let count = leased.len();
    let mut tasks = JoinSet::new();
    for work in leased {
        let (app, client) = (app.clone(), client.clone());
        tasks.spawn(async move {
            if let Err(error) = deliver(&app, &client, &work).await {
                tracing::error!(delivery = work.id, %error, "webhook delivery");
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    Ok(count)
}

/// What the outbox holds.
#[derive(Deserialize)]
struct Payload {
    event: String,
    endpoint: String,
}

/// How a try ended.
enum Tried {
    Delivered(StatusCode),
    /// The endpoint says that it is gone for good.
    Gone,
    /// No delivery, perhaps with a wish when to try again (seconds).
    Failed {
        status: Option<StatusCode>,
        why: String,
        after: Option<i64>,
    },
    /// Nobody to deliver to.
    Void,
}

async fn deliver(app: &App, client: &Client, work: &Leased) -> Result<(), Error> {
    let payload: Payload = from_column(&work.payload)?;
    let (event, endpoint) = (payload.event.clone(), payload.endpoint.clone());
    let read = move |tx: &mut Tx<'_>| -> Result<_, Error> {
        let body = tx.first("select body from events where id = $1", params![&event])?;
        let body: Option<String> = body.map(|row| row.get(0)).transpose()?;
        Ok((Endpoint::by_id(tx, &endpoint)?, body))
    };
    let tried = match app.store.read(read).await? {
        (Some(endpoint), Some(body)) if endpoint.enabled => {
            post(client, &endpoint, &payload.event, app.clock.now(), body).await
        }
        _ => Tried::Void,
    };
    record(app, work, payload, tried).await
}

async fn post(client: &Client, endpoint: &Endpoint, event: &str, now: i64, body: String) -> Tried {
    let failed = |why: String| Tried::Failed {
        status: None,
        why,
        after: None,
    };
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&endpoint.url)
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .header(header::USER_AGENT, "Cardseal/1.0 (webhooks)");
    for (name, value) in sign::headers(&endpoint.secret, event, now, &body) {
        request = request.header(name, value);
    }
    let request = match request.body(Bytes::from(body)) {
        Ok(request) => request,
        Err(error) => return failed(error.to_string()),
    };
    match client.send(request).await {
        Ok(response) if response.status().is_success() => Tried::Delivered(response.status()),
        Ok(response) if response.status() == StatusCode::GONE => Tried::Gone,
        // A redirect is a failure too: the address that was registered is the one that is trusted.
        Ok(response) => Tried::Failed {
            status: Some(response.status()),
            why: "not a success".into(),
            after: retry_after(&response),
        },
        Err(error) => failed(error.to_string()),
    }
}

fn retry_after(response: &Response<Bytes>) -> Option<i64> {
    let seconds: i64 = response
        .headers()
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    (seconds >= 0).then_some(seconds.min(24 * H))
}

async fn record(app: &App, work: &Leased, payload: Payload, tried: Tried) -> Result<(), Error> {
    let now_ms = app.clock.now_ms();
    let now = now_ms.div_euclid(1000);
    let (state, status, why, again) = match &tried {
        Tried::Delivered(status) => ("delivered", Some(*status), None, None),
        Tried::Gone => (
            "failed",
            Some(StatusCode::GONE),
            Some("gone".to_owned()),
            None,
        ),
        Tried::Void => (
            "failed",
            None,
            Some("the endpoint is disabled or deleted".to_owned()),
            None,
        ),
        Tried::Failed { status, why, after } => {
            match next_wait(work.attempts, after.unwrap_or(0)) {
                Some(wait) => ("pending", *status, Some(why.clone()), Some(now + wait)),
                None => ("failed", *status, Some(why.clone()), None),
            }
        }
    };
    let status = status.map(|status| status.as_u16());
    tracing::info!(
        event = payload.event,
        endpoint = payload.endpoint,
        state,
        status,
        tries = work.attempts + 1,
        "webhook"
    );
    app.metrics
        .count("payments_webhook_tries_total", &[("state", state)]);
    let (id, gone) = (work.id.clone(), matches!(tried, Tried::Gone));
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        tx.execute(
            "update webhook_deliveries set state = $3, tries = tries + 1, last_status = $4, last_error = $5,
                 updated_ms = $6 where event = $1 and endpoint = $2",
            params![&payload.event, &payload.endpoint, state, status, why.clone(), now_ms],
        )?;
        if gone {
            endpoints::disable(tx, &payload.endpoint)?;
        }
        match again {
            Some(due_at) => outbox::again(tx, &id, due_at)?,
            None => outbox::done(tx, &id, now)?,
        }
        Ok(())
    };
    app.store.write(write).await
}

/// How long to wait after the try number `tries` (from 0), up to a tenth longer so that failures spread; None: give up.
fn next_wait(tries: i64, at_least: i64) -> Option<i64> {
    let wait = WAITS.get(usize::try_from(tries).ok()?)?;
    let mut random = [0u8; 2];
    // Jitter may fall back to none.
    let _ = getrandom::fill(&mut random);
    let jitter = wait * i64::from(u16::from_be_bytes(random)) / i64::from(u16::MAX) / 10;
    Some((wait + jitter).max(at_least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_tries_over_three_days() {
        assert_eq!(WAITS.iter().sum::<i64>(), 272_105, "75.6 hours");
        assert!((5..=5).contains(&next_wait(0, 0).expect("a second try")));
        assert!((24 * H..=26 * H + H).contains(&next_wait(8, 0).expect("a tenth try")));
        assert_eq!(next_wait(9, 0), None);
        assert_eq!(next_wait(0, 60), Some(60), "Retry-After is honoured");
    }
}
