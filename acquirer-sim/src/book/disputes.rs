//! Disputes: opened by what a card is, answered by evidence, ended by a decision or by the clock.

use serde_json::json;
use store::{Error, Row, Tx, params};

use super::{BASE36, Payment, notifications, random, settlement::DAY_MS};
use crate::acquirer::Acquirer;
use crate::issuer::Stage;

/// Evidence is taken for so long.
const DUE_MS: i64 = 7 * DAY_MS;
/// A dispute that has evidence is decided so long after it came.
const REVIEW_MS: i64 = 3 * DAY_MS;

/// A dispute.
#[derive(Debug, Clone)]
pub(crate) struct Dispute {
    pub(crate) id: String,
    pub(crate) payment: String,
    /// The payment's reference.
    pub(crate) reference: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) reason: String,
    pub(crate) stage: String,
    pub(crate) status: String,
    pub(crate) due_at: i64,
    pub(crate) has_evidence: bool,
    pub(crate) created_at: i64,
}

/// What a merchant says to a dispute.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Evidence; `winning_evidence` and `losing_evidence` are decided at once, other text by the clock.
    Evidence(String),
    /// It takes the loss.
    Accept,
}

/// Opens the dispute that the card's holder will have, once per payment.
pub(crate) fn open_if_due(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    payment: &Payment,
    dispute: Option<(Stage, &'static str)>,
    now: i64,
) -> Result<(), Error> {
    let Some((stage, reason)) = dispute else {
        return Ok(());
    };
    open(tx, acquirer, payment, stage, reason, now).map(drop)
}

/// Opens a dispute about all that was captured and not given back; None when there is nothing, or one already.
pub(crate) fn open(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    payment: &Payment,
    stage: Stage,
    reason: &str,
    now: i64,
) -> Result<Option<Dispute>, Error> {
    let amount = payment.captured - payment.refunded;
    if amount <= 0 {
        return Ok(None);
    }
    let id = format!("dp{}", random(BASE36, 20));
    let (stage, withdrawn) = match stage {
        Stage::Inquiry => ("inquiry", None),
        Stage::Chargeback => ("chargeback", Some(now)),
    };
    let inserted = tx.execute(
        "insert into disputes (id, acquirer, payment_id, amount, currency, reason, stage, status, due_at, created_at,
             changed_at, withdrawn_at)
         values ($1, $2, $3, $4, $5, $6, $7, 'needs_response', $8, $9, $9, $10) on conflict do nothing",
        params![
            &id,
            acquirer.name(),
            &payment.id,
            amount,
            &payment.currency,
            reason,
            stage,
            now + DUE_MS,
            now,
            withdrawn
        ],
    )?;
    if inserted == 0 {
        return Ok(None);
    }
    tell(tx, acquirer, &id, "dispute.opened", now)?;
    find(tx, acquirer, &id)
}

fn tell(tx: &mut Tx<'_>, acquirer: Acquirer, id: &str, kind: &str, now: i64) -> Result<(), Error> {
    notifications::put(tx, acquirer, &json!({ "type": kind, "dispute": id }), now)
}

const DISPUTE: &str =
    "select d.id, d.payment_id, p.reference, d.amount, d.currency, d.reason, d.stage, d.status,
        d.due_at, case when d.evidence is null then 0 else 1 end, d.created_at
    from disputes d join payments p on p.id = d.payment_id";

fn dispute(row: &Row) -> Result<Dispute, Error> {
    Ok(Dispute {
        id: row.get(0)?,
        payment: row.get(1)?,
        reference: crate::acquirer::reference_of(&row.get::<String>(2)?),
        amount: row.get(3)?,
        currency: row.get(4)?,
        reason: row.get(5)?,
        stage: row.get(6)?,
        status: row.get(7)?,
        due_at: row.get(8)?,
        has_evidence: row.get::<i64>(9)? == 1,
        created_at: row.get(10)?,
    })
}

/// The acquirer's dispute with this id.
pub(crate) fn find(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    id: &str,
) -> Result<Option<Dispute>, Error> {
    let sql = format!("{DISPUTE} where d.id = $1 and d.acquirer = $2");
    let row = tx.first(&sql, params![id, acquirer.name()])?;
    row.as_ref().map(dispute).transpose()
}

/// Its disputes that changed since (milliseconds), oldest first.
pub(crate) fn changed_since(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    since: i64,
) -> Result<Vec<Dispute>, Error> {
    let sql = format!(
        "{DISPUTE} where d.acquirer = $1 and d.changed_at >= $2 order by d.changed_at, d.id limit 500"
    );
    tx.all(&sql, params![acquirer.name(), since])?
        .iter()
        .map(dispute)
        .collect()
}

/// Takes a merchant's answer; None when there is no such dispute. One that is decided stays as it is.
pub(crate) fn answer(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    id: &str,
    answer: &Answer,
    now: i64,
) -> Result<Option<Dispute>, Error> {
    sweep(tx, now)?;
    let (status, evidence) = match answer {
        Answer::Accept => ("lost", None),
        Answer::Evidence(text) if text.contains("winning_evidence") => ("won", Some(text)),
        Answer::Evidence(text) if text.contains("losing_evidence") => ("lost", Some(text)),
        Answer::Evidence(text) => ("under_review", Some(text)),
    };
    let changed = tx.execute(
        "update disputes set status = $3, evidence = coalesce($4, evidence), changed_at = $5
         where id = $1 and acquirer = $2 and status in ('needs_response', 'under_review') and due_at > $5",
        params![id, acquirer.name(), status, evidence.cloned(), now],
    )?;
    if changed == 1 {
        ended(tx, acquirer, id, status, now)?;
    }
    find(tx, acquirer, id)
}

fn ended(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    id: &str,
    status: &str,
    now: i64,
) -> Result<(), Error> {
    if status == "won" {
        tx.execute(
            "update disputes set reinstated_at = $2 where id = $1 and stage = 'chargeback'",
            params![id, now],
        )?;
    }
    let kind = if status == "under_review" {
        "dispute.changed"
    } else {
        "dispute.decided"
    };
    tell(tx, acquirer, id, kind, now)
}

/// Ends what the clock ends: without evidence by the due day it is lost, an inquiry is just over; with evidence it is
/// won after the review.
pub(crate) fn sweep(tx: &mut Tx<'_>, now: i64) -> Result<(), Error> {
    let rows = tx.all(
        "select id, acquirer, status, stage from disputes
         where (status = 'needs_response' and due_at <= $1) or (status = 'under_review' and changed_at <= $2)",
        params![now, now - REVIEW_MS],
    )?;
    for row in &rows {
        let (id, acquirer): (String, String) = (row.get(0)?, row.get(1)?);
        let (status, stage): (String, String) = (row.get(2)?, row.get(3)?);
        let end = if status == "under_review" || stage == "inquiry" {
            "won"
        } else {
            "lost"
        };
        tx.execute(
            "update disputes set status = $2, changed_at = $3 where id = $1",
            params![&id, end, now],
        )?;
        let acquirer = Acquirer::from_name(&acquirer).ok_or(Error::Column(1))?;
        ended(tx, acquirer, &id, end, now)?;
    }
    Ok(())
}
