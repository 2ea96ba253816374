//! Capture, void and refund at the charge's own acquirer: committed first, repeated under the same reference until a
//! definite answer comes, settled once. This file is the row and the asking; [`settle`] is what an answer changes.

mod settle;

use serde_json::json;
use store::{Row, Tx, params};

use crate::app::{App, Origin, Owner};
use crate::charges::Charge;
use crate::connectors::{Done, Operation as Kind, Portion};
use crate::conversion::Rate;
use crate::error::Error;
use crate::http::params::from_column;
use service::client::Error as CallError;

const COLUMNS: &str = "id, kind, merchant, livemode, intent, charge, refund, amount, currency, state, reason, tries, \
                       request_id, idempotency_key, conversion";

/// Seconds that the call which made an operation has to itself before the resolver repeats it.
const FIRST_TRY: i64 = 30;

/// An operation.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Our reference at the acquirer too.
    pub id: String,
    pub kind: Kind,
    pub owner: Owner,
    pub intent: String,
    pub charge: String,
    pub refund: Option<String>,
    pub amount: i64,
    pub currency: String,
    pub state: String,
    /// For a void: the merchant's cancellation reason.
    pub reason: Option<String>,
    /// For a capture: the rate that it is settled at.
    pub conversion: Option<Rate>,
    pub tries: i64,
    pub origin: Origin,
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Capture => "capture",
        Kind::Void => "void",
        Kind::Refund => "refund",
    }
}

impl Operation {
    /// A pending operation on a charge.
    pub fn new(id: &str, kind: Kind, charge: &Charge, amount: i64, origin: &Origin) -> Self {
        Self {
            id: id.to_owned(),
            kind,
            owner: charge.owner.clone(),
            intent: charge.intent.clone(),
            charge: charge.id.clone(),
            refund: None,
            amount,
            currency: charge.currency.clone(),
            state: "pending".into(),
            reason: None,
            conversion: None,
            tries: 0,
            origin: origin.clone(),
        }
    }

    fn from_row(row: &Row) -> Result<Self, Error> {
        let kind = match row.get::<String>(1)?.as_str() {
            "capture" => Kind::Capture,
            "void" => Kind::Void,
            _ => Kind::Refund,
        };
        let conversion: Option<String> = row.get(14)?;
        Ok(Self {
            id: row.get(0)?,
            kind,
            owner: Owner {
                merchant: row.get(2)?,
                livemode: row.get(3)?,
            },
            intent: row.get(4)?,
            charge: row.get(5)?,
            refund: row.get(6)?,
            amount: row.get(7)?,
            currency: row.get(8)?,
            state: row.get(9)?,
            reason: row.get(10)?,
            conversion: conversion.as_deref().map(from_column).transpose()?,
            tries: row.get(11)?,
            origin: Origin {
                request_id: row.get(12)?,
                idempotency_key: row.get(13)?,
            },
        })
    }

    /// The operation with this id, if it was begun.
    pub fn find(tx: &mut Tx<'_>, id: &str) -> Result<Option<Self>, Error> {
        let row = tx.first(
            &format!("select {COLUMNS} from operations where id = $1"),
            params![id],
        )?;
        row.as_ref().map(Self::from_row).transpose()
    }

    pub fn insert(&self, tx: &mut Tx<'_>, now_ms: i64) -> Result<(), Error> {
        tx.execute(
            "insert into operations (id, kind, merchant, livemode, intent, charge, refund, amount, currency, state,
                 reason, created_ms, next_try_at, request_id, idempotency_key, conversion)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10, $11, $12, $13, $14, $15)",
            params![
                &self.id,
                kind_name(self.kind),
                &self.owner.merchant,
                self.owner.livemode,
                &self.intent,
                &self.charge,
                self.refund.clone(),
                self.amount,
                &self.currency,
                self.reason.clone(),
                now_ms,
                now_ms.div_euclid(1000) + FIRST_TRY,
                self.origin.request_id.clone(),
                self.origin.idempotency_key.clone(),
                self.conversion.as_ref().map(|rate| json!(rate).to_string()),
            ],
        )?;
        Ok(())
    }
}

/// Pending operations whose time has come, put off so that nobody else takes them meanwhile.
pub async fn due(app: &App) -> Result<Vec<Operation>, Error> {
    let now = app.clock.now();
    let take = move |tx: &mut Tx<'_>| -> Result<Vec<Operation>, Error> {
        let skip_locked = tx.skip_locked();
        let sql = format!(
            "update operations set next_try_at = $2, tries = tries + 1, sends = sends + 1 where id in (
                 select id from operations where state = 'pending' and next_try_at <= $1
                 order by next_try_at limit 20 {skip_locked})
             returning {COLUMNS}"
        );
        let rows = tx.all(&sql, params![now, now + FIRST_TRY])?;
        rows.iter().map(Operation::from_row).collect()
    };
    app.store.write(take).await
}

/// Asks the acquirer, and settles if it gave a definite answer. None: it is still pending.
pub async fn perform(app: &App, operation: &Operation) -> Result<Option<Done>, Error> {
    let (owner, charge) = (operation.owner.clone(), operation.charge.clone());
    let charge = app
        .store
        .read(move |tx: &mut Tx<'_>| Charge::find(tx, &owner, &charge))
        .await?;
    let charge = charge.ok_or(Error::Internal("an operation's charge is gone"))?;
    let acquirer = app.acquirer(&charge.acquirer)?;
    let payment = charge.acquirer_payment.as_deref();
    let payment = payment.ok_or(Error::Internal(
        "an approved charge without the acquirer's id",
    ))?;
    let call = acquirer.connector.operation(
        operation.kind,
        &Portion {
            payment,
            amount: operation.amount,
            currency: &operation.currency,
            reference: &operation.id,
        },
    );
    let mut sent = true;
    let done = match acquirer.call(call).await {
        Ok((status, body)) => {
            let done = acquirer
                .connector
                .read_operation(operation.kind, status, &body);
            if done.is_none() {
                tracing::warn!(
                    operation = operation.id,
                    status,
                    "no definite answer to an operation"
                );
            }
            done
        }
        Err(error) => {
            sent = !matches!(error, CallError::NotSent(_));
            tracing::warn!(operation = operation.id, %error, "an operation was not answered");
            None
        }
    };
    match done {
        None => put_off(app, operation, sent).await?,
        Some(Done::Pending) => {
            tracing::info!(operation = operation.id, "an operation is pending");
            put_off(app, operation, true).await?;
        }
        Some(ref done) => settle::settle(app, operation, charge, done.clone()).await?,
    }
    Ok(done)
}

// Repeated soon, then less and less often; never given up, because money is reserved for it.
async fn put_off(app: &App, operation: &Operation, sent: bool) -> Result<(), Error> {
    let wait = [2, 5, 15, 60, 300][usize::try_from(operation.tries).unwrap_or(0).min(4)];
    let (id, at, unsent) = (
        operation.id.clone(),
        app.clock.now() + wait,
        i64::from(!sent),
    );
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        tx.execute(
            "update operations set next_try_at = $2, sends = sends - $3 where id = $1 and state = 'pending'",
            params![&id, at, unsent],
        )?;
        Ok(())
    };
    app.store.write(write).await
}
