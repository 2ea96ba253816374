//! `POST /acquirers/{name}/notifications`: an acquirer says that something happened. It is believed only so far that
//! it is asked about it: lost, doubled, reordered or late notifications change when something is learned, never what.
//!
//! `Acquirer-Signature: t=SECONDS,v1=HEX`, HMAC-SHA-256 of `SECONDS.body` under the SHA-256 of the acquirer's key.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use store::{Tx, params};

use crate::app::App;
use crate::connectors::Acquirer;
use crate::disputes;
use crate::error::Error;
use crate::returns;

/// How far the time of a signature may be from ours, seconds.
const TOLERANCE: i64 = 300;

/// The part that is read.
#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "type")]
    kind: String,
    reference: Option<String>,
    dispute: Option<String>,
    refund: Option<String>,
}

/// The route. What is not signed is refused; what cannot be looked up just now is to be sent again.
pub async fn receive(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let Some(acquirer) = app.acquirer_named(&name) else {
        return StatusCode::NOT_FOUND;
    };
    if !is_signed(acquirer, app.clock.now(), &headers, &body) {
        count(&app, acquirer, "forged");
        return StatusCode::BAD_REQUEST;
    }
    let Ok(notification) = serde_json::from_slice::<Notification>(&body) else {
        count(&app, acquirer, "unreadable");
        return StatusCode::BAD_REQUEST;
    };
    match take(&app, acquirer, notification).await {
        Ok(true) => {
            count(&app, acquirer, "taken");
            StatusCode::OK
        }
        Ok(false) => StatusCode::SERVICE_UNAVAILABLE,
        Err(error) => {
            tracing::error!(%error, "a notification");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

fn count(app: &App, acquirer: &Acquirer, outcome: &'static str) {
    let labels = [("acquirer", acquirer.name()), ("outcome", outcome)];
    app.metrics
        .count("payments_acquirer_notifications_total", &labels);
}

fn is_signed(acquirer: &Acquirer, now: i64, headers: &HeaderMap, body: &[u8]) -> bool {
    let parse = || {
        let header = headers.get("acquirer-signature")?.to_str().ok()?;
        let (time, tag) = header.strip_prefix("t=")?.split_once(",v1=")?;
        let seconds: i64 = time.parse().ok()?;
        if (now - seconds).abs() > TOLERANCE || tag.len() != 64 || !tag.is_ascii() {
            return None;
        }
        let tag: Option<Vec<u8>> = (0..32)
            .map(|i| u8::from_str_radix(&tag[i * 2..i * 2 + 2], 16).ok())
            .collect();
        let message = [time.as_bytes(), b".", body].concat();
        Some(acquirer.has_signed(&message, &tag?))
    };
    parse() == Some(true)
}

async fn take(app: &App, acquirer: &Acquirer, notification: Notification) -> Result<bool, Error> {
    let is_id = |text: &String| {
        (1..=100).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    match (
        notification.kind.split('.').next(),
        notification.reference.filter(is_id),
        notification.dispute.filter(is_id),
        notification.refund.filter(is_id),
    ) {
        (Some("dispute"), _, Some(id), _) => disputes::sync::one(app, acquirer, &id).await,
        (Some("refund"), _, _, Some(reference)) => {
            ask_again(app, acquirer, reference).await?;
            app.resolve.notify_one();
            returns::of_acquirer(app, acquirer).await
        }
        (Some("payment"), Some(reference), _, _) => {
            look_at(app, acquirer, reference).await?;
            app.resolve.notify_one();
            Ok(true)
        }
        // A type that is not known changes nothing.
        _ => Ok(true),
    }
}

// A refund that is pending is asked about at once.
async fn ask_again(app: &App, acquirer: &Acquirer, reference: String) -> Result<(), Error> {
    let (name, now) = (acquirer.name().to_owned(), app.clock.now());
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        tx.execute(
            "update operations set next_try_at = $3 where id = $1 and state = 'pending' and next_try_at > $3
               and exists (select 1 from charges c where c.id = operations.charge and c.acquirer = $2)",
            params![&reference, &name, now],
        )?;
        Ok(())
    };
    app.store.write(write).await
}

// The resolver asks at once: an open attempt is adopted, one that was given up is reversed.
async fn look_at(app: &App, acquirer: &Acquirer, reference: String) -> Result<(), Error> {
    let (name, now) = (acquirer.name().to_owned(), app.clock.now());
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        tx.execute(
            "update attempts set next_check_at = $3
             where reference = $1 and acquirer = $2 and state = 'unknown' and next_check_at > $3",
            params![&reference, &name, now],
        )?;
        tx.execute(
            "update attempts set watch_at = $3 where reference = $1 and acquirer = $2 and state = 'failed'",
            params![&reference, &name, now],
        )?;
        Ok(())
    };
    app.store.write(write).await
}
