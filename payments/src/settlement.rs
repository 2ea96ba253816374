//! Settlement files: what an acquirer says it paid out, day by day, each line matched to the balance transaction that
//! it confirms. A match moves the receivable to the bank and sets the day the money is there; anything else is kept
//! as a finding, and a capture that nobody knows of is looked into.

use card::calendar::{date, day_of};
use store::{Tx, params};

use crate::app::{App, Owner};
use crate::connectors::Acquirer;
use crate::connectors::reports::{Batch, Line, LineKind, Settled};
use crate::error::Error;
use crate::ledger;

const DAY_S: i64 = 24 * 60 * 60;

/// Reads the files that are there and were not read. A file is read once, in one transaction.
pub async fn read(app: &App) -> Result<(), Error> {
    let today = app.clock.now().div_euclid(DAY_S);
    for acquirer in &app.acquirers {
        let Some(first) = next_day(app, acquirer).await? else {
            continue;
        };
        for day in first..today {
            let connector = &acquirer.connector;
            let Ok((status, bytes)) = acquirer.call_raw(connector.settlement(&date(day))).await
            else {
                break;
            };
            match connector.read_settlement(status, &bytes) {
                Some(Settled::File(batch)) => book(app, acquirer, day, batch).await?,
                Some(Settled::NotYet) => break,
                None => {
                    let name = acquirer.name();
                    tracing::warn!(acquirer = name, status, "an unreadable settlement file");
                    break;
                }
            }
        }
    }
    Ok(())
}

// The day after the last file, or that of the first charge; None while there is none.
async fn next_day(app: &App, acquirer: &Acquirer) -> Result<Option<i64>, Error> {
    let name = acquirer.name().to_owned();
    let read = move |tx: &mut Tx<'_>| -> Result<Option<i64>, Error> {
        let last = tx.first(
            "select max(day) from settlement_batches where acquirer = $1",
            params![&name],
        )?;
        if let Some(day) = last
            .map(|row| row.get::<Option<i64>>(0))
            .transpose()?
            .flatten()
        {
            return Ok(Some(day + 1));
        }
        let first = tx.first(
            "select min(created_ms) from charges where acquirer = $1 and status = 'succeeded'",
            params![&name],
        )?;
        let first = first.map(|row| row.get::<Option<i64>>(0)).transpose()?;
        Ok(first.flatten().map(|ms| ms.div_euclid(DAY_S * 1000)))
    };
    app.store.read(read).await
}

async fn book(app: &App, acquirer: &Acquirer, day: i64, batch: Batch) -> Result<(), Error> {
    let (name, now_ms) = (acquirer.name().to_owned(), app.clock.now_ms());
    let write = move |tx: &mut Tx<'_>| -> Result<Option<usize>, Error> {
        let mut findings = Vec::new();
        for (at, line) in batch.lines.iter().enumerate() {
            findings.push(settle(tx, &name, day, at, line, now_ms)?);
        }
        let mismatches = findings.iter().flatten().count();
        let inserted = tx.execute(
            "insert into settlement_batches (acquirer, day, lines, mismatches, created_ms) values ($1, $2, $3, $4, $5)
             on conflict do nothing",
            params![&name, day, batch.lines.len() as i64, mismatches as i64, now_ms],
        )?;
        // Somebody else read it meanwhile: the lines' own key refused this transaction before it came here.
        Ok((inserted == 1).then_some(mismatches))
    };
    let mismatches = app.store.write(write).await?.unwrap_or(0);
    let labels = [("acquirer", acquirer.name())];
    app.metrics
        .count("payments_settlement_files_total", &labels);
    if mismatches > 0 {
        tracing::warn!(
            acquirer = acquirer.name(),
            count = mismatches,
            "lines of a settlement file that match nothing"
        );
    }
    Ok(())
}

/// A balance transaction that a line may be about.
struct Moved {
    id: String,
    owner: Owner,
    amount: i64,
    currency: String,
    intent: String,
}

fn settle(
    tx: &mut Tx<'_>,
    acquirer: &str,
    day: i64,
    at: usize,
    line: &Line,
    now_ms: i64,
) -> Result<Option<&'static str>, Error> {
    let moved = find(tx, acquirer, line)?;
    let finding = match &moved {
        None => Some("unknown"),
        Some(moved) if moved.amount != line.gross || moved.currency != line.currency => {
            Some("differs")
        }
        Some(_) => None,
    };
    tx.execute(
        "insert into settlement_lines (acquirer, day, line, kind, payment, payment_reference, reference, currency,
             gross, fee, value_date, balance_transaction, finding)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        params![
            acquirer,
            day,
            at as i64,
            line.kind.name(),
            &line.payment,
            &line.payment_reference,
            &line.reference,
            &line.currency,
            line.gross,
            line.fee,
            &line.value_date,
            moved.as_ref().map(|moved| moved.id.clone()),
            finding.map(str::to_owned),
        ],
    )?;
    match (&moved, finding) {
        (Some(moved), None) => {
            let available = day_of(&line.value_date).unwrap_or(day) * DAY_S;
            // A test card's money may be there before the bank pays it.
            tx.execute(
                "update balance_transactions set settlement = $3,
                     available_on = case when type = 'charge' and available_on <= created_ms / 1000 then available_on else $2 end
                 where id = $1",
                params![&moved.id, available, format!("{acquirer}/{}", date(day))],
            )?;
            let paid = ledger::Paid {
                name: format!("settle:{acquirer}:{day}:{at}"),
                owner: &moved.owner,
                intent: &moved.intent,
                currency: &line.currency,
                gross: line.gross,
                fee: line.fee,
            };
            ledger::settle(tx, &paid, now_ms)?;
        }
        // A capture that we believe was not made: a late approval.
        (None, _) if line.kind == LineKind::Capture => {
            tx.execute(
                "update attempts set watch_at = $2 where reference = $1 and state = 'failed'",
                params![&line.payment_reference, now_ms.div_euclid(1000)],
            )?;
        }
        _ => {}
    }
    Ok(finding)
}

fn find(tx: &mut Tx<'_>, acquirer: &str, line: &Line) -> Result<Option<Moved>, Error> {
    let select = "select b.id, b.merchant, b.livemode, coalesce(b.presented_amount, b.amount),
             coalesce(b.presented_currency, b.currency),";
    let row = match line.kind {
        LineKind::Capture => tx.first(
            &format!(
                "{select} c.intent from charges c join balance_transactions b on b.source = c.id and b.type = 'charge'
                 where c.acquirer = $1 and c.acquirer_payment = $2 and b.settlement is null"
            ),
            params![acquirer, &line.payment],
        ),
        LineKind::Refund | LineKind::RefundReturn => {
            let kind = if line.kind == LineKind::Refund {
                "refund"
            } else {
                "refund_failure"
            };
            tx.first(
                &format!(
                    "{select} o.intent from operations o join balance_transactions b
                         on b.source = o.refund and b.type = $3
                     join charges c on c.id = o.charge
                     where o.id = $1 and c.acquirer = $2 and b.settlement is null"
                ),
                params![&line.reference, acquirer, kind],
            )
        }
        LineKind::Chargeback | LineKind::Reinstatement => {
            let step = if line.kind == LineKind::Chargeback {
                "withdrawn"
            } else {
                "reinstated"
            };
            tx.first(
                &format!(
                    "{select} d.intent from disputes d join balance_transactions b
                         on b.source = d.id and b.type = 'adjustment' and b.step = $3
                     where d.acquirer = $1 and d.acquirer_dispute = $2 and b.settlement is null"
                ),
                params![acquirer, &line.reference, step],
            )
        }
    }?;
    let Some(row) = row else {
        return Ok(None);
    };
    Ok(Some(Moved {
        id: row.get(0)?,
        owner: Owner {
            merchant: row.get(1)?,
            livemode: row.get(2)?,
        },
        amount: row.get(3)?,
        currency: row.get(4)?,
        intent: row.get(5)?,
    }))
}
