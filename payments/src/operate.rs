//! What an operator does by hand, each act recorded: taking a route out and in, saying where payments would go, and
//! deciding an attempt that nobody could find out about. The command writes down the decision; a running service
//! carries it out like any other outcome.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use service::Clock;
use store::{Tx, params};

use crate::app::App;
use crate::attempts::{self, Attempt as Row};
use crate::cli::Database;
use crate::connectors::{Facts, Payment, Verdict};
use crate::error::Error;
use crate::outcome::{self, Outcome};
use crate::routing::rules::Rules;
use crate::routing::switches::{self, Act};
use crate::routing::{self, State};

/// `payments route`
#[derive(Debug, Subcommand)]
pub enum Route {
    /// Which acquirer a payment would go to, and why.
    Explain(Explain),
    /// No new payment goes to the acquirer; captures and refunds of its payments still do.
    Disable(Switch),
    /// It may be used again.
    Enable(Switch),
}

/// `payments route explain`
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    database: Database,
    #[arg(long, env = "PAYMENTS_ACQUIRERS")]
    acquirers: PathBuf,
    #[arg(long, env = "PAYMENTS_ROUTING")]
    routing: Option<PathBuf>,
    /// Smallest currency units.
    #[arg(long, env = "PAYMENTS_AMOUNT")]
    amount: i64,
    #[arg(long, env = "PAYMENTS_CURRENCY")]
    currency: String,
    #[arg(long, env = "PAYMENTS_BRAND")]
    brand: Option<String>,
    /// Two letters.
    #[arg(long, env = "PAYMENTS_REGION")]
    region: Option<String>,
    #[arg(long, env = "PAYMENTS_RISK", default_value = "normal")]
    risk: String,
    #[arg(long, env = "PAYMENTS_MERCHANT", default_value = "")]
    merchant: String,
    /// What spreads payments over weights: a payment's confirmation.
    #[arg(long, env = "PAYMENTS_SEED", default_value = "")]
    seed: String,
}

/// `payments route disable` and `enable`
#[derive(Debug, Args)]
pub struct Switch {
    #[command(flatten)]
    database: Database,
    /// Its name in the acquirers file.
    acquirer: String,
    #[command(flatten)]
    who: Who,
}

/// Who acts, and why: kept for good.
#[derive(Debug, Args)]
pub struct Who {
    #[arg(long, env = "PAYMENTS_BY")]
    by: String,
    #[arg(long, env = "PAYMENTS_REASON")]
    reason: String,
}

/// `payments attempt`
#[derive(Debug, Subcommand)]
pub enum Attempt {
    /// Say what became of an attempt whose outcome stays unknown, after the acquirer told you. A running service
    /// carries it out.
    Resolve(Resolve),
}

/// `payments attempt resolve`
#[derive(Debug, Args)]
pub struct Resolve {
    #[command(flatten)]
    database: Database,
    /// The attempt's id, att_..
    attempt: String,
    /// Whether the acquirer took (or holds) the money.
    #[arg(long, env = "PAYMENTS_OUTCOME", value_parser = ["charged", "not_charged"])]
    outcome: String,
    /// When charged: the acquirer's id of the payment.
    #[arg(long, env = "PAYMENTS_PAYMENT", required_if_eq("outcome", "charged"))]
    payment: Option<String>,
    #[command(flatten)]
    who: Who,
}

impl From<Who> for Act {
    fn from(who: Who) -> Self {
        Self {
            by: who.by,
            reason: who.reason,
        }
    }
}

/// `payments route ..`
pub async fn route(command: Route) -> anyhow::Result<()> {
    match command {
        Route::Explain(asked) => explain(asked).await,
        Route::Disable(asked) => switch(asked, true).await,
        Route::Enable(asked) => switch(asked, false).await,
    }
}

/// `payments attempt ..`
pub async fn attempt(command: Attempt) -> anyhow::Result<()> {
    let Attempt::Resolve(asked) = command;
    resolve(asked).await
}

// As a service that has just started would choose: its breakers are closed.
async fn explain(asked: Explain) -> anyhow::Result<()> {
    let acquirers = crate::config::acquirers(&asked.acquirers)?;
    let names: Vec<&str> = acquirers.iter().map(|one| one.name.as_str()).collect();
    let rules = asked.routing.as_deref();
    let rules = rules
        .map(|file| Rules::from_file(file, &names))
        .transpose()?;
    let rules = rules.unwrap_or_default();
    let switches = switches::Switches::default();
    switches
        .refresh(&crate::open(&asked.database.database)?)
        .await?;
    let facts = routing::Facts {
        region: asked.region.or_else(|| rules.region_of(&asked.merchant)),
        merchant: asked.merchant,
        method: "card".into(),
        brand: asked.brand,
        amount: asked.amount,
        currency: asked.currency.to_ascii_lowercase(),
        risk: asked.risk,
        seed: asked.seed,
    };
    let mut plan = rules.plan(&facts, &names, |_| 1.0);
    for one in &mut plan.candidates {
        if switches.is_disabled(&one.acquirer) {
            one.state = State::Disabled;
        }
    }
    writeln!(std::io::stdout(), "{}", plan.object())?;
    Ok(())
}

async fn switch(asked: Switch, disable: bool) -> anyhow::Result<()> {
    let store = crate::open(&asked.database.database)?;
    let act = Act::from(asked.who);
    let (acquirer, now_ms) = (asked.acquirer.clone(), Clock::system().now_ms());
    let write = move |tx: &mut Tx<'_>| switches::switch(tx, &acquirer, disable, &act, now_ms);
    let changed = store.write(write).await?;
    let shown = json!({ "acquirer": asked.acquirer, "disabled": disable, "changed": changed });
    writeln!(std::io::stdout(), "{shown}")?;
    Ok(())
}

async fn resolve(asked: Resolve) -> anyhow::Result<()> {
    let store = crate::open(&asked.database.database)?;
    let act = Act::from(asked.who);
    let (id, now_ms) = (asked.attempt.clone(), Clock::system().now_ms());
    let (outcome, payment) = (asked.outcome.clone(), asked.payment);
    let write = move |tx: &mut Tx<'_>| -> Result<bool, Error> {
        let changed = tx.execute(
            "update attempts set instruction = $2, instruction_payment = $3 where id = $1 and state = 'unknown'",
            params![&id, &outcome, payment.clone()],
        )?;
        if changed == 1 {
            act.record(tx, &format!("attempt.resolve.{outcome}"), &id, now_ms)?;
        }
        Ok(changed == 1)
    };
    anyhow::ensure!(
        store.write(write).await?,
        "{}: there is no such attempt, or its outcome is not unknown",
        asked.attempt
    );
    let shown = json!({ "attempt": asked.attempt, "outcome": asked.outcome });
    writeln!(std::io::stdout(), "{shown}")?;
    Ok(())
}

/// Carries out what operators decided.
pub async fn carry_out(app: &App) -> Result<(), Error> {
    let read = |tx: &mut Tx<'_>| -> Result<Vec<(Row, bool, Option<String>)>, Error> {
        let sql = format!(
            "select {}, instruction, instruction_payment from attempts
             where state = 'unknown' and instruction is not null limit 20",
            attempts::COLUMNS
        );
        // Behind the attempt's own columns.
        let own = attempts::COLUMNS.split(',').count();
        let rows = tx.all(&sql, params![])?;
        let mut all = Vec::new();
        for row in &rows {
            let instruction: String = row.get(own)?;
            let charged = instruction == "charged";
            all.push((Row::from_row(row)?, charged, row.get(own + 1)?));
        }
        Ok(all)
    };
    for (attempt, charged, payment) in app.store.read(read).await? {
        let outcome = if charged {
            Outcome::Approved(as_told(&attempt, payment))
        } else {
            Outcome::NotCharged
        };
        outcome::settle(app, &attempt, outcome, (None, None), None).await?;
    }
    Ok(())
}

fn as_told(attempt: &Row, payment: Option<String>) -> Payment {
    Payment {
        id: payment,
        reference: Some(attempt.reference.clone()),
        amount: Some(attempt.amount),
        currency: Some(attempt.currency.clone()),
        verdict: if attempt.capture {
            Verdict::Captured
        } else {
            Verdict::Authorised
        },
        facts: Facts::default(),
    }
}
