//! The admin listener: `/healthz` (the process answers), `/readyz` (it can serve), `/metrics` (Prometheus).

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use store::{Figures, Tx, params};
use vault_api::Code;

use crate::http::doors::Listener;
use crate::http::routes::{self, Route};
use crate::{App, Error};

/// The router.
pub fn router(app: App) -> Router {
    routes::router(Listener::Admin, app, table())
}

/// The table of routes.
#[must_use]
pub fn table() -> Vec<Route> {
    vec![
        Route::get("/healthz", healthz).does("The process answers."),
        Route::get("/readyz", readyz)
            .does("It can serve: the store answers.")
            .codes(&[Code::Unavailable]),
        Route::get("/metrics", metrics)
            .does("Figures in the Prometheus text format.")
            .serves("text/plain"),
    ]
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(app): State<App>) -> Response {
    let asked = app
        .store
        .read(|tx| Ok::<_, Error>(tx.first("select 1 from merchants limit 1", &[])?))
        .await;
    match asked {
        Ok(_) => "ready\n".into_response(),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the store does not answer\n",
        )
            .into_response(),
    }
}

async fn metrics(State(app): State<App>) -> Result<Response, Error> {
    let (writes, reads) = app.store.figures();
    for (queue, figures) in [("write", writes), ("read", reads)] {
        of_queue(&app, queue, figures);
    }
    let now = app.clock.now();
    // A figure that cannot be had is left out; the others are worth having, above all now.
    if let Ok(overdue) = app.store.read(move |tx| overdue(tx, now)).await {
        for (table, rows) in overdue {
            app.metrics
                .set("vault_overdue_rows", &[("table", table)], rows as f64);
        }
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((kind, app.metrics.render()).into_response())
}

fn of_queue(app: &App, queue: &'static str, figures: Figures) {
    let labels = [("queue", queue)];
    let metrics = &app.metrics;
    metrics.set("vault_store_waiting", &labels, figures.waiting as f64);
    metrics.set_counter("vault_store_commits_total", &labels, figures.commits);
    metrics.set_counter("vault_store_committed_total", &labels, figures.committed);
    metrics.set_counter(
        "vault_store_busy_microseconds_total",
        &labels,
        figures.micros,
    );
}

/// Rows whose time is over and that still hold what should be gone, by table: the sweep empties them every few seconds.
///
/// # Errors
/// The store's.
pub fn overdue(tx: &mut Tx<'_>, now: i64) -> Result<Vec<(&'static str, i64)>, Error> {
    [
        (
            "tokens",
            "select count(*) from tokens where expires_at <= $1 and sealed_number is not null",
        ),
        (
            "grants",
            "select count(*) from grants
             where expires_at <= $1 and sealed_number is not null and open_attempt is null",
        ),
        ("cvvs", "select count(*) from cvvs where expires_at <= $1"),
    ]
    .into_iter()
    .map(|(table, sql)| {
        let row = tx.first(sql, params![now])?;
        let rows = row.map_or(Ok(0), |row| row.get(0))?;
        Ok((table, rows))
    })
    .collect()
}
