//! `token-vault retention ..`: evidence that nothing is kept beyond its time (PCI DSS 3.2.1).

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;
use service::Clock;

use crate::admin::{self, Database};
use crate::audit::command::utc;
use crate::records::retention::{self, Report};

/// What can be asked.
#[derive(Subcommand)]
pub(crate) enum Retention {
    /// What each table still holds; exit code 1 when anything is overdue.
    Report {
        #[command(flatten)]
        database: Database,
        /// The report as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Prints the report.
///
/// # Errors
/// When something is overdue, or the store cannot be read.
pub(crate) async fn run(command: Retention) -> anyhow::Result<()> {
    let Retention::Report { database, json } = command;
    let now = Clock::system().now();
    let report = admin::open(&database)?
        .read(move |tx| retention::report(tx, now))
        .await?;
    if json {
        admin::print(&json!(report))?;
    } else {
        show(&report);
    }
    if report.overdue > 0 {
        bail!(
            "{} rows are overdue; run: token-vault sweep",
            report.overdue
        );
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
fn show(report: &Report) {
    for table in &report.tables {
        let oldest = table.oldest.map_or("-".to_owned(), utc);
        println!(
            "{:<14} {:>9} rows  oldest {oldest:<20}  overdue {}",
            table.table, table.rows, table.overdue
        );
    }
    for epoch in &report.cvv_epochs {
        println!(
            "CVV epoch {}: {} rows, {} s old",
            epoch.epoch, epoch.rows, epoch.age
        );
    }
}
