//! Refunds that an acquirer had taken and that came back: the card takes no money any more. The money returns to the
//! merchant's balance, the amount can be refunded again, and the merchant is told (`refund.failed`).

use std::collections::HashSet;

use store::{Tx, params};

use crate::app::{App, Origin, Owner};
use crate::charges::Charge;
use crate::connectors::Acquirer;
use crate::connectors::reports::ReturnedRefund;
use crate::error::Error;
use crate::ledger;
use crate::refunds;

/// How far back they are asked for, milliseconds: what a lost notification did not say is learned here.
const LOOK_BACK_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// Asks every acquirer.
pub async fn all(app: &App) -> Result<(), Error> {
    for acquirer in &app.acquirers {
        of_acquirer(app, acquirer).await?;
    }
    Ok(())
}

/// Asks one. False when it did not say.
pub async fn of_acquirer(app: &App, acquirer: &Acquirer) -> Result<bool, Error> {
    let since = app.clock.now_ms() - LOOK_BACK_MS;
    let connector = &acquirer.connector;
    let Ok((status, body)) = acquirer.call(connector.returned_refunds(since)).await else {
        tracing::debug!(
            acquirer = acquirer.name(),
            "returned refunds were not answered"
        );
        return Ok(false);
    };
    let Some(returned) = connector.read_returned_refunds(status, &body) else {
        return Ok(false);
    };
    for refund in news(app, acquirer, returned).await? {
        take(app, acquirer, refund).await?;
    }
    Ok(true)
}

// Each answer lists every one of the last weeks: those that are known are left out before anything is written.
async fn news(
    app: &App,
    acquirer: &Acquirer,
    mut returned: Vec<ReturnedRefund>,
) -> Result<Vec<ReturnedRefund>, Error> {
    let name = acquirer.name().to_owned();
    let references: Vec<String> = returned.iter().map(|r| r.reference.clone()).collect();
    let read = move |tx: &mut Tx<'_>| -> Result<HashSet<String>, Error> {
        let mut open = HashSet::new();
        for reference in &references {
            let row = tx.first(
                "select 1 from operations o join refunds r on r.id = o.refund join charges c on c.id = o.charge
                 where o.id = $1 and o.kind = 'refund' and r.status = 'succeeded' and c.acquirer = $2",
                params![reference, &name],
            )?;
            if row.is_some() {
                open.insert(reference.clone());
            }
        }
        Ok(open)
    };
    let open = app.store.read(read).await?;
    returned.retain(|refund| open.contains(&refund.reference));
    Ok(returned)
}

// Once: a refund that has not succeeded (yet) or has failed already is left as it is, and asked for again.
async fn take(app: &App, acquirer: &Acquirer, returned: ReturnedRefund) -> Result<(), Error> {
    let (name, now_ms) = (acquirer.name().to_owned(), app.clock.now_ms());
    let write = move |tx: &mut Tx<'_>| -> Result<bool, Error> {
        let row = tx.first(
            "update refunds set status = 'failed', failure_reason = $3
             where status = 'succeeded' and id = (
                 select o.refund from operations o join charges c on c.id = o.charge
                 where o.id = $1 and o.kind = 'refund' and c.acquirer = $2)
             returning id, merchant, livemode, charge, amount",
            params![
                &returned.reference,
                &name,
                refunds::failure_reason(&returned.code)
            ],
        )?;
        let Some(row) = row else {
            return Ok(false);
        };
        let (id, charge): (String, String) = (row.get(0)?, row.get(3)?);
        let amount: i64 = row.get(4)?;
        let owner = Owner {
            merchant: row.get(1)?,
            livemode: row.get(2)?,
        };
        tx.execute(
            "update charges set amount_refunded = amount_refunded - $2 where id = $1",
            params![&charge, amount],
        )?;
        let charge = Charge::find(tx, &owner, &charge)?;
        let charge = charge.ok_or(Error::Internal("a refund's charge is gone"))?;
        ledger::return_refund(tx, &charge, &id, amount, now_ms)?;
        tracing::warn!(id, acquirer = name, "a refund came back");
        refunds::emit(tx, &owner, "refund.failed", &id, &Origin::default(), now_ms)?;
        Ok(true)
    };
    if app.store.write(write).await? {
        app.deliver.notify_one();
    }
    Ok(())
}
