//! Logs: one JSON object a line on standard error. Fields are named in the code, and never hold card data.

use tracing_subscriber::EnvFilter;

/// Starts logging. `CARDSEAL_LOG` sets the filter (default `info`).
pub fn init(program: &'static str) {
    // axum::rejection logs the text of rejections, which quotes bodies: off whatever the filter says.
    let filter = std::env::var("CARDSEAL_LOG").unwrap_or_else(|_| "info".into());
    let filter = EnvFilter::try_new(format!("{filter},axum::rejection=off"))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    tracing::info!(program, version = env!("CARGO_PKG_VERSION"), "starting");
}
