//! What a running vault does beside its requests, for forward: says that it lives, records `unknown` for the sends of
//! processes that do not, and reads what the operator registered.

use std::time::Duration;

use service::listen::Stop;

use crate::audit::{self, Act, Actor};
use crate::records::attempts;
use crate::records::processes;
use crate::{App, Error};

/// How often a running vault looks for what was registered.
const REFRESH: Duration = Duration::from_secs(2);

/// How long a vault that stops waits for its sends: as long as the longest may take in practice.
const LAST_SENDS: Duration = Duration::from_secs(30);

/// Before the first request: says that this process lives, closes what dead ones left open, reads what is registered;
/// then goes on doing so until `stop`.
///
/// # Errors
/// The store's, or what is wrong with the file of destinations.
pub async fn start(app: &App, stop: Stop) -> anyhow::Result<()> {
    sign_of_life(app).await?;
    refresh(app).await?;
    app.destinations.check_file()?;
    tokio::spawn(keep_alive(app.clone()));
    tokio::spawn(keep_fresh(app.clone(), stop));
    Ok(())
}

/// After the last request: waits for sends whose callers hung up.
///
/// # Errors
/// The store's.
pub async fn last_sends(app: &App) -> Result<(), Error> {
    let last = tokio::time::Instant::now() + LAST_SENDS;
    loop {
        let process = app.process.clone();
        let open = app
            .store
            .read(move |tx| attempts::count_open(tx, &process))
            .await?;
        if open == 0 || tokio::time::Instant::now() > last {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

// Until the process ends, not until it is told to stop: its last sends are alive too.
async fn keep_alive(app: App) {
    let mut ticks = tokio::time::interval(Duration::from_secs(processes::BEAT));
    loop {
        ticks.tick().await;
        if let Err(error) = sign_of_life(&app).await {
            tracing::error!(%error, "the sign of life could not be written");
        }
    }
}

async fn sign_of_life(app: &App) -> Result<(), Error> {
    let (now, parts) = (app.clock.now(), app.clone());
    app.cvvs.destroy_old(now);
    let unknown = app
        .store
        .write(move |tx| {
            let here = parts.replicas.here();
            processes::beat(tx, here)?;
            let interrupted = attempts::interrupt(tx, parts.root.macs(), here, now)?;
            for (merchant, attempt) in &interrupted {
                let actor = Actor {
                    merchant: merchant.clone(),
                    id: here.id.clone(),
                    request_id: String::new(),
                };
                audit::record(tx, &actor, Act::ForwardOutcome, attempt, "unknown", now)?;
            }
            Ok::<_, Error>(interrupted.len())
        })
        .await?;
    if unknown > 0 {
        tracing::warn!(
            unknown,
            "attempts that a process which is gone left open are now recorded as unknown"
        );
    }
    Ok(())
}

async fn keep_fresh(app: App, stop: Stop) {
    let mut ticks = tokio::time::interval(REFRESH);
    loop {
        tokio::select! { _ = ticks.tick() => {}, () = stop.wait() => return }
        if let Err(error) = refresh(&app).await {
            tracing::error!(%error, "the registered destinations could not be read");
        }
    }
}

async fn refresh(app: &App) -> Result<(), Error> {
    for problem in app.destinations.refresh(&app.store, &app.root).await? {
        tracing::error!(problem, "a registered destination is left out");
    }
    Ok(())
}
