//! What a running vault does beside its requests, for forward: says that it lives, records `unknown` for the sends of
//! processes that do not, and reads what the operator registered.

use std::time::Duration;

use service::listen::Stop;

use crate::records::attempts;
use crate::records::processes::{self, Here};
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
    let here = Here::new(&app.process);
    sign_of_life(app, &here).await?;
    refresh(app).await?;
    app.destinations.check_file()?;
    tokio::spawn(keep_alive(app.clone(), here));
    tokio::spawn(keep_fresh(app.clone(), stop));
    Ok(())
}

/// After the last request: waits for sends whose callers hung up, then says that this process is gone.
///
/// # Errors
/// The store's.
pub async fn end(app: &App) -> Result<(), Error> {
    let here = Here::new(&app.process);
    let last = tokio::time::Instant::now() + LAST_SENDS;
    loop {
        let process = here.id.clone();
        let open = app
            .store
            .read(move |tx| attempts::count_open(tx, &process))
            .await?;
        if open == 0 || tokio::time::Instant::now() > last {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    app.store.write(move |tx| processes::leave(tx, &here)).await
}

// Until the process ends, not until it is told to stop: its last sends are alive too.
async fn keep_alive(app: App, here: Here) {
    let mut ticks = tokio::time::interval(Duration::from_secs(processes::BEAT));
    loop {
        ticks.tick().await;
        if let Err(error) = sign_of_life(&app, &here).await {
            tracing::error!(%error, "the sign of life could not be written");
        }
    }
}

async fn sign_of_life(app: &App, here: &Here) -> Result<(), Error> {
    let (here, now, parts) = (here.clone(), app.clock.now(), app.clone());
    app.cvvs.destroy_old(now);
    let unknown = app
        .store
        .write(move |tx| {
            processes::beat(tx, &here)?;
            attempts::interrupt(tx, parts.root.macs(), &here, now)
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
