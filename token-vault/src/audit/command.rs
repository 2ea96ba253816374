//! `token-vault audit verify` and `audit list`: evidence by command.

use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use store::Store;

use super::{AuditKeys, list, verify};
use crate::admin::Database;
use crate::key_commands::Vault;

/// What can be asked.
#[derive(Subcommand)]
pub enum Audit {
    /// Check every link of every chain; exit code 1 and the words when something does not hold.
    Verify(Verify),
    /// List events, oldest first.
    List(List),
}

/// `audit verify`.
#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    pub(crate) vault: Vault,
    /// Checkpoints as they left the machine (`serve --audit-checkpoints`); repeat for several files. Without them a cut
    /// tail, and a chain that was computed anew with the key, cannot be told.
    #[arg(long)]
    checkpoints: Vec<PathBuf>,
    /// The report as JSON.
    #[arg(long)]
    json: bool,
}

/// `audit list`.
#[derive(Args)]
pub struct List {
    #[command(flatten)]
    pub(crate) database: Database,
    /// Events of this merchant only.
    #[arg(long)]
    merchant: Option<String>,
    /// Unix seconds, or so long ago: `90s`, `15m`, `24h`, `7d`.
    #[arg(long, default_value = "24h")]
    since: String,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Verifies, prints what was found, and fails when something does not hold.
///
/// # Errors
/// When something does not hold, and when it cannot be read.
#[expect(clippy::print_stdout, reason = "a command's answer")]
pub async fn run_verify(options: Verify, store: &Store, keys: &AuditKeys) -> anyhow::Result<()> {
    let mut text = String::new();
    for file in &options.checkpoints {
        let read = std::fs::read_to_string(file)
            .with_context(|| format!("the checkpoint file {}", file.display()))?;
        text.push_str(&read);
        text.push('\n');
    }
    let report = verify::verify(store, keys, &text).await?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&json!(report))?);
    } else {
        for finding in &report.findings {
            println!("{finding}");
        }
        if report.more_findings > 0 {
            println!("and {} more", report.more_findings);
        }
        println!(
            "{} events in {} chains, {} checkpoints compared",
            report.events, report.chains, report.checkpoints
        );
        if report.chains_of_other_mode > 0 {
            println!(
                "{} chains of the other mode: verify them with its --mode and root",
                report.chains_of_other_mode
            );
        }
        if options.checkpoints.is_empty() {
            println!(
                "no --checkpoints given: a cut tail or a chain computed anew with the key would not be seen"
            );
        }
    }
    if report.holds() {
        Ok(())
    } else {
        bail!(
            "the audit does not hold: {} findings",
            report.findings.len() as u64 + report.more_findings
        )
    }
}

/// Lists.
///
/// # Errors
/// When it cannot be read.
pub async fn run_list(options: List, store: &Store, now: i64) -> anyhow::Result<()> {
    const PAGE: i64 = 1000;
    let mut after = (since(&options.since, now)?, String::new());
    loop {
        let (merchant, from) = (options.merchant.clone(), after.clone());
        let events = store
            .read(move |tx| list::page(tx, merchant.as_deref(), (from.0, &from.1), PAGE))
            .await?;
        for event in &events {
            let line = if options.json {
                serde_json::to_string(event)?
            } else {
                format!(
                    "{}  {:<18} {:<14} x{}  merchant={} actor={} object={} request={}",
                    utc(event.at),
                    event.kind,
                    event.outcome,
                    event.times,
                    event.merchant,
                    event.actor,
                    event.object,
                    event.request_id
                )
            };
            match writeln!(std::io::stdout(), "{line}") {
                // `| head` has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                written => written?,
            }
        }
        match events.last() {
            Some(last) if events.len() as i64 == PAGE => after = (last.at, last.id.clone()),
            _ => return Ok(()),
        }
    }
}

fn since(text: &str, now: i64) -> anyhow::Result<i64> {
    let unit = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3600,
        Some(b'd') => 86_400,
        _ => 0,
    };
    let number = if unit == 0 {
        text
    } else {
        &text[..text.len() - 1]
    };
    let number: i64 = number
        .parse()
        .ok()
        .filter(|n| *n >= 0)
        .with_context(|| format!("--since {text}: write Unix seconds, or 90s, 15m, 24h, 7d"))?;
    Ok(if unit == 0 {
        number
    } else {
        now.saturating_sub(number.saturating_mul(unit))
    })
}

/// `2026-11-21T08:00:00Z` (RFC 3339).
#[must_use]
pub fn utc(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    format!(
        "{}T{:02}:{:02}:{:02}Z",
        card::calendar::date(days),
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_868_799), "2000-02-29T23:59:59Z");
        assert_eq!(utc(1_798_761_599), "2026-12-31T23:59:59Z");
        assert_eq!(since("2h", 10_000).expect("reads"), 2800);
        assert_eq!(since("1700000000", 0).expect("reads"), 1_700_000_000);
        assert!(since("yesterday", 0).is_err());
        assert!(since("-5m", 0).is_err());
    }
}
