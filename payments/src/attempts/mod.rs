//! Attempts: one send of a card each. This file is the row; [`run`] goes from acquirer to acquirer, [`send`] has the vault
//! send or say what it has sent, [`ask`] hears of it from the acquirer.

mod ask;
mod run;
mod send;

use serde_json::{Value, json};
use store::{Row, Tx, params};
use vault_api::ids::ordered_id;

use crate::app::{App, Origin, Owner};
use crate::connectors::Acquirer;
use crate::error::Error;
use crate::http::params::from_column;
use crate::intents::Intent;
use crate::intents::confirm::Confirm;
use crate::outcome::Outcome;
use crate::payment_methods::PaymentMethod;
use crate::risk::{self, Assessment};
use crate::three_ds::Authentication;
use crate::three_ds::carried::Carried;

pub use ask::{adopt, ask, known, reverse};
pub use run::{last, run, verdict};
pub use send::close;

/// The columns that [`Attempt::from_row`] reads.
pub const COLUMNS: &str = "id, intent, merchant, livemode, confirmation, payment_method, acquirer, reference, amount, \
                       currency, capture, state, created_ms, next_check_at, checks, ordinal, \
                       error, request_id, idempotency_key, carried";

/// An attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub id: String,
    pub intent: String,
    pub owner: Owner,
    pub confirmation: String,
    pub payment_method: String,
    pub acquirer: String,
    /// What we are called at the acquirer.
    pub reference: String,
    pub amount: i64,
    pub currency: String,
    pub capture: bool,
    pub state: String,
    pub created_ms: i64,
    pub next_check_at: i64,
    pub checks: i64,
    /// Its place among the attempts of the confirmation.
    pub ordinal: i64,
    pub error: Option<Value>,
    pub origin: Origin,
    pub carried: Carried,
}

impl Attempt {
    /// The first attempt of a confirmation.
    pub fn new(
        app: &App,
        acquirer: &Acquirer,
        wanted: &Confirm,
        intent: &Intent,
        method: &PaymentMethod,
    ) -> Self {
        let now_ms = app.clock.now_ms();
        Self {
            id: ordered_id("att"),
            intent: intent.id.clone(),
            owner: intent.owner.clone(),
            confirmation: wanted.confirmation.id.clone(),
            payment_method: method.id.clone(),
            acquirer: acquirer.name().to_owned(),
            reference: ordered_id("ref"),
            amount: intent.amount,
            currency: intent.currency.clone(),
            capture: intent.capture_method != "manual",
            state: "sending".into(),
            created_ms: now_ms,
            next_check_at: first_check(now_ms, acquirer),
            checks: 0,
            ordinal: 0,
            error: None,
            origin: wanted.origin.clone(),
            carried: Carried::new(intent, method),
        }
    }

    /// The attempt that an authentication leads to; intent and card say the rest of it.
    pub fn of_authentication(
        app: &App,
        acquirer: &Acquirer,
        authentication: &Authentication,
        before: usize,
    ) -> Self {
        let now_ms = app.clock.now_ms();
        Self {
            id: ordered_id("att"),
            intent: authentication.intent.clone(),
            owner: authentication.owner.clone(),
            confirmation: authentication.confirmation.clone(),
            payment_method: authentication.payment_method.clone(),
            acquirer: acquirer.name().to_owned(),
            reference: ordered_id("ref"),
            amount: authentication.amount,
            currency: authentication.currency.clone(),
            capture: true,
            state: "sending".into(),
            created_ms: now_ms,
            next_check_at: first_check(now_ms, acquirer),
            checks: 0,
            ordinal: before as i64,
            error: None,
            origin: authentication.cause.clone(),
            carried: Carried::default(),
        }
    }

    /// The next attempt of the same confirmation.
    fn following(&self, app: &App, acquirer: &Acquirer) -> Self {
        let now_ms = app.clock.now_ms();
        Self {
            id: ordered_id("att"),
            reference: ordered_id("ref"),
            ordinal: self.ordinal + 1,
            acquirer: acquirer.name().to_owned(),
            created_ms: now_ms,
            next_check_at: first_check(now_ms, acquirer),
            ..self.clone()
        }
    }

    pub fn from_row(row: &Row) -> Result<Self, Error> {
        let error: Option<String> = row.get(16)?;
        let carried: Option<String> = row.get(19)?;
        Ok(Self {
            id: row.get(0)?,
            intent: row.get(1)?,
            owner: Owner {
                merchant: row.get(2)?,
                livemode: row.get(3)?,
            },
            confirmation: row.get(4)?,
            payment_method: row.get(5)?,
            acquirer: row.get(6)?,
            reference: row.get(7)?,
            amount: row.get(8)?,
            currency: row.get(9)?,
            capture: row.get(10)?,
            state: row.get(11)?,
            created_ms: row.get(12)?,
            next_check_at: row.get(13)?,
            checks: row.get(14)?,
            ordinal: row.get(15)?,
            error: error.as_deref().map(from_column).transpose()?,
            origin: Origin {
                request_id: row.get(17)?,
                idempotency_key: row.get(18)?,
            },
            carried: carried
                .as_deref()
                .map(from_column)
                .transpose()?
                .unwrap_or_default(),
        })
    }

    /// The one with this id.
    pub fn find(tx: &mut Tx<'_>, id: &str) -> Result<Option<Self>, Error> {
        let sql = format!("select {COLUMNS} from attempts where id = $1");
        let row = tx.first(&sql, params![id])?;
        row.as_ref().map(Self::from_row).transpose()
    }

    /// Whether a fraud rule keeps it from being sent.
    fn is_blocked(&self) -> bool {
        self.carried.risk.as_ref().is_some_and(Assessment::blocks)
    }

    /// What it comes to that a blocked attempt was not sent: it was declined.
    pub fn ruled_out(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::NotSent { .. } if self.is_blocked() => Outcome::Declined(risk::refused()),
            outcome => outcome,
        }
    }

    pub fn insert(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        tx.execute(
            "insert into attempts (id, intent, merchant, livemode, confirmation, payment_method, acquirer, reference,
                 amount, currency, capture, state, created_ms, next_check_at, ordinal, request_id, idempotency_key, carried)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'sending', $12, $13, $14, $15, $16, $17)",
            params![
                &self.id,
                &self.intent,
                &self.owner.merchant,
                self.owner.livemode,
                &self.confirmation,
                &self.payment_method,
                &self.acquirer,
                &self.reference,
                self.amount,
                &self.currency,
                self.capture,
                self.created_ms,
                self.next_check_at,
                self.ordinal,
                self.origin.request_id.clone(),
                self.origin.idempotency_key.clone(),
                json!(self.carried).to_string(),
            ],
        )?;
        Ok(())
    }
}

// The resolver leaves an attempt alone for as long as the call that made it may still be waiting.
fn first_check(now_ms: i64, acquirer: &Acquirer) -> i64 {
    now_ms.div_euclid(1000) + acquirer.total_s() + 5
}

/// The attempts of a confirmation, oldest first.
pub async fn of_confirmation(app: &App, confirmation: &str) -> Result<Vec<Attempt>, Error> {
    let confirmation = confirmation.to_owned();
    let read = move |tx: &mut Tx<'_>| -> Result<Vec<Attempt>, Error> {
        let sql =
            format!("select {COLUMNS} from attempts where confirmation = $1 order by ordinal");
        tx.all(&sql, params![&confirmation])?
            .iter()
            .map(Attempt::from_row)
            .collect()
    };
    app.store.look_up(read).await
}

/// Open attempts whose time has come, put off by `lease_s` so that nobody else takes them meanwhile.
pub async fn due(app: &App, lease_s: i64) -> Result<Vec<Attempt>, Error> {
    let now = app.clock.now();
    let take = move |tx: &mut Tx<'_>| -> Result<Vec<Attempt>, Error> {
        let skip_locked = tx.skip_locked();
        let sql = format!(
            "update attempts set next_check_at = $2, checks = checks + 1 where id in (
                 select id from attempts where state in ('sending', 'unknown') and next_check_at <= $1
                 order by next_check_at limit 20 {skip_locked})
             returning {COLUMNS}"
        );
        tx.all(&sql, params![now, now + lease_s])?
            .iter()
            .map(Attempt::from_row)
            .collect()
    };
    app.store.write(take).await
}
