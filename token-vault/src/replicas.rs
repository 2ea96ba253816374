//! Several vault processes on one PostgreSQL: each gives a sign of life, and whoever finds another dead records the
//! attempts it left open as `unknown`, so that no grant stays locked and nobody sends twice.

use std::time::Duration;

use crate::{App, Error, records};

/// Time between two signs of life; several fit into the silence that means death.
const BEAT: Duration = Duration::from_secs(2);

/// Gives the first sign of life and takes over what the dead left.
///
/// # Errors
/// The store's.
pub async fn join(app: &App) -> Result<(), Error> {
    let (process, now) = (app.process.clone(), app.clock.now());
    let unknown = app
        .store
        .write(move |tx| {
            records::processes::beat(tx, &process)?;
            records::attempts::interrupt_all(tx, &process, now)
        })
        .await?;
    if unknown > 0 {
        tracing::warn!(
            unknown,
            "attempts that a former process left open are now recorded as unknown"
        );
    }
    Ok(())
}

/// Gives signs of life until the process ends, while its last requests drain too: one that falls silent while it sends
/// would be taken for dead.
pub async fn live(app: App) {
    // SQLite has one process at a time.
    if !app.store.is_postgres() {
        return;
    }
    let mut ticks = tokio::time::interval(BEAT);
    loop {
        ticks.tick().await;
        if let Err(error) = join(&app).await {
            tracing::error!(%error, "no sign of life could be given");
        }
    }
}
