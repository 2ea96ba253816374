//! What the acquirers tell the processor unasked: late approvals, disputes and refunds that come back, signed, repeated until they are taken.
//!
//! `Acquirer-Signature: t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA-256 of `SECONDS.body` under the SHA-256 of the
//! acquirer's API key. A notification says only what to ask about.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::{Request, header};
use service::Client;
use service::listen::Stop;

use crate::Bank;
use crate::acquirer::Acquirer;
use crate::book::{disputes, notifications, notifications::Notification, returns};
use crate::faults::Kind;

const POLL: Duration = Duration::from_millis(200);

/// Where each acquirer's notifications go.
#[derive(Debug, Clone, Default)]
pub struct Targets(HashMap<Acquirer, String>);

impl Targets {
    /// From `ACQUIRER=URL` each.
    ///
    /// # Errors
    /// When one is not of that form.
    pub fn parse(texts: &[String]) -> anyhow::Result<Self> {
        let mut targets = HashMap::new();
        for text in texts {
            let (name, url) = text
                .split_once('=')
                .with_context(|| format!("--notify {text}: write ACQUIRER=URL"))?;
            let acquirer = Acquirer::from_name(name).with_context(|| {
                format!("--notify {text}: the acquirers are json, form and xml")
            })?;
            ensure!(
                url.starts_with("http://") || url.starts_with("https://"),
                "--notify {text}: the URL must begin with http:// or https://"
            );
            targets.insert(acquirer, url.to_owned());
        }
        Ok(Self(targets))
    }
}

/// Runs until `stop`.
pub(crate) async fn run(bank: &Bank, targets: &Targets, stop: Stop) {
    let client = Client::new(Duration::from_secs(2), Duration::from_secs(10));
    loop {
        if let Err(error) = once(bank, targets, &client).await {
            tracing::error!(%error, "notifications");
        }
        tokio::select! {
            () = stop.wait() => return,
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn once(bank: &Bank, targets: &Targets, client: &Client) -> Result<(), store::Error> {
    let now = bank.0.clock.now_ms();
    let due = bank.0.store.read(move |tx| {
        let ending = tx.first(
            "select 1 from disputes where status in ('needs_response', 'under_review')",
            store::params![],
        )?;
        let refunds = returns::is_open(tx)?;
        Ok::<_, store::Error>((ending.is_some(), refunds, notifications::due(tx, now)?))
    });
    let (open_disputes, open_refunds, due) = due.await?;
    if open_refunds {
        bank.0
            .store
            .write(move |tx| returns::sweep(tx, now))
            .await?;
    }
    if open_disputes {
        bank.0
            .store
            .write(move |tx| disputes::sweep(tx, now))
            .await?;
    }
    for one in due {
        let done = match targets.0.get(&one.acquirer) {
            Some(url) => deliver(bank, client, url, &one).await,
            // Nobody listens: it is told to nobody.
            None => Told::Yes,
        };
        let now = bank.0.clock.now_ms();
        let write = move |tx: &mut store::Tx<'_>| match done {
            Told::Yes => notifications::done(tx, &one.id, now),
            Told::Later(wait) => notifications::put_off(tx, &one, wait, now),
        };
        bank.0.store.write(write).await?;
    }
    Ok(())
}

enum Told {
    Yes,
    /// Milliseconds, or the usual wait.
    Later(Option<i64>),
}

async fn deliver(bank: &Bank, client: &Client, url: &str, one: &Notification) -> Told {
    let fault = bank.0.faults.of_notification(one.acquirer);
    match fault.as_ref().map(|fault| fault.kind) {
        Some(Kind::Lost) => return Told::Yes,
        Some(Kind::Late) => {
            let ms = fault.map_or(0, |fault| fault.ms);
            return Told::Later(Some(i64::try_from(ms).unwrap_or(i64::MAX)));
        }
        // Behind whatever comes within the next second.
        Some(Kind::Reordered) => return Told::Later(Some(1_000)),
        Some(Kind::Forged) => {
            let _ = send(bank, client, url, one, Some("forged")).await;
        }
        Some(Kind::Duplicated) => {
            let _ = send(bank, client, url, one, None).await;
        }
        _ => {}
    }
    if send(bank, client, url, one, None).await {
        Told::Yes
    } else {
        Told::Later(None)
    }
}

async fn send(
    bank: &Bank,
    client: &Client,
    url: &str,
    one: &Notification,
    forged: Option<&str>,
) -> bool {
    let Some(key) = bank.0.keys.of(one.acquirer) else {
        return false;
    };
    let now = bank.0.clock.now();
    let message = format!("{now}.{}{}", forged.unwrap_or_default(), one.body);
    let signature = format!("t={now},v1={}", key.sign(&message));
    let request = Request::post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header("acquirer-signature", signature)
        .body(one.body.clone().into());
    let Ok(request) = request else {
        return false;
    };
    match client.send(request).await {
        Ok(answer) => answer.status().is_success(),
        Err(_) => false,
    }
}
