//! The merchant's balance: a balance transaction for each movement of the ledger's `merchant_balance`, written in the
//! transaction that posts it, so that their nets and that account always agree.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};
use store::{Row, Tx, params};
use vault_api::ids::ordered_id;

use crate::app::Owner;
use crate::charges::Charge;
use crate::conversion::{Decimal, Rate};
use crate::error::{Error, Refusal};
use crate::http::call::Call;
use crate::http::conditions::Condition;
use crate::http::expand::Expand;
use crate::http::pages::{ListRoute, Listed, Page};

const LISTED: Listed = Listed {
    table: "balance_transactions",
    columns: "id, created_ms, type, source, currency, amount, fee, net, available_on, description, exchange_rate",
};

/// Acquirers pay out two days after a capture.
const PAYOUT_DELAY_S: i64 = 2 * 24 * 60 * 60;

const TYPES: &[&str] = &["charge", "refund", "refund_failure", "adjustment"];

/// A movement of the balance about to be written.
pub struct Movement<'a> {
    pub owner: &'a Owner,
    /// `charge`, `refund`, `refund_failure` or `adjustment` (a dispute).
    pub kind: &'static str,
    /// What tells two movements of one kind and source apart.
    pub step: &'static str,
    /// The charge's, refund's or dispute's id.
    pub source: &'a str,
    /// As it was paid.
    pub currency: &'a str,
    /// Gross, as it was paid; what leaves the balance is negative.
    pub amount: i64,
    /// What it is converted at, where the balance is kept in another currency.
    pub rate: Option<&'a Rate>,
    /// In the balance's currency.
    pub fee: i64,
    pub description: Option<String>,
}

impl<'a> Movement<'a> {
    /// `amount` of a charge was captured.
    pub fn of_charge(charge: &'a Charge, amount: i64, rate: Option<&'a Rate>, fee: i64) -> Self {
        Self {
            owner: &charge.owner,
            kind: "charge",
            step: "",
            source: &charge.id,
            currency: &charge.currency,
            amount,
            rate,
            fee,
            description: None,
        }
    }

    /// Writes it; the same source moves the balance in one way once.
    pub fn insert(&self, tx: &mut Tx<'_>, now_ms: i64) -> Result<(), Error> {
        let now = now_ms.div_euclid(1000);
        // What was promised for later can be taken back at once.
        let available_on = if self.kind == "charge" {
            now + PAYOUT_DELAY_S
        } else {
            now
        };
        let settled = settled(self.amount, self.currency, self.rate)?;
        tx.execute(
            "insert into balance_transactions (id, merchant, livemode, created_ms, type, source, currency, amount, fee,
                 net, available_on, description, step, exchange_rate, rate_source, presented_amount, presented_currency)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                 case when exists (select 1 from charges c join payment_methods m on m.id = c.payment_method
                                   where c.id = $6 and m.available_at_once = 1) then cast($18 as bigint) else cast($11 as bigint) end,
                 $12, $13, $14, $15, $16, $17)",
            params![
                ordered_id("txn"),
                &self.owner.merchant,
                self.owner.livemode,
                now_ms,
                self.kind,
                self.source,
                settled.1,
                settled.0,
                self.fee,
                settled.0 - self.fee,
                available_on,
                self.description.clone(),
                self.step,
                self.rate.map(|rate| rate.rate.to_string()),
                self.rate.map(|rate| rate.source.clone()),
                self.rate.map(|_| self.amount),
                self.rate.map(|_| self.currency.to_owned()),
                now,
            ],
        )?;
        Ok(())
    }
}

/// An amount and its currency as they reach the balance.
pub fn settled<'a>(
    amount: i64,
    currency: &'a str,
    rate: Option<&'a Rate>,
) -> Result<(i64, &'a str), Error> {
    match rate {
        None => Ok((amount, currency)),
        Some(rate) => Ok((rate.convert(amount, currency)?, &rate.currency)),
    }
}

/// What a movement of the balance was converted at; None when it was not, or there was none.
pub fn rate_of(tx: &mut Tx<'_>, source: &str, kind: &str) -> Result<Option<Rate>, Error> {
    let row = tx.first(
        "select currency, exchange_rate, rate_source from balance_transactions
         where source = $1 and type = $2 and exchange_rate is not null",
        params![source, kind],
    )?;
    let Some(row) = row else {
        return Ok(None);
    };
    let rate = Decimal::try_from(row.get::<String>(1)?);
    Ok(Some(Rate {
        currency: row.get(0)?,
        rate: rate.map_err(Error::Internal)?,
        source: row.get(2)?,
    }))
}

fn object(row: &Row, now: i64) -> Result<Value, Error> {
    let (kind, currency): (String, String) = (row.get(2)?, row.get(4)?);
    let (fee, available_on): (i64, i64) = (row.get(6)?, row.get(8)?);
    // A number in JSON, as Stripe has it; no amount is computed from it.
    let exchange_rate: Option<String> = row.get(10)?;
    let exchange_rate = exchange_rate.and_then(|rate| rate.parse::<f64>().ok());
    let fee_details = if fee == 0 {
        json!([])
    } else {
        json!([{
            "amount": fee, "application": null, "currency": currency, "description": "Processing fees",
            "type": "stripe_fee",
        }])
    };
    Ok(json!({
        "id": row.get::<String>(0)?,
        "object": "balance_transaction",
        "amount": row.get::<i64>(5)?,
        "available_on": available_on,
        "balance_type": "payments",
        "created": row.get::<i64>(1)?.div_euclid(1000),
        "currency": currency,
        "description": row.get::<Option<String>>(9)?,
        "exchange_rate": exchange_rate,
        "fee": fee,
        "fee_details": fee_details,
        "net": row.get::<i64>(7)?,
        "reporting_category": kind,
        "source": row.get::<String>(3)?,
        "status": if available_on <= now { "available" } else { "pending" },
        "type": kind,
    }))
}

/// The balance transactions of a source, oldest first.
pub fn of_source(
    tx: &mut Tx<'_>,
    owner: &Owner,
    source: &str,
    now: i64,
) -> Result<Vec<Value>, Error> {
    let sql = format!(
        "select {} from balance_transactions where source = $1 and merchant = $2 and livemode = $3
         order by created_ms, step desc",
        LISTED.columns
    );
    let rows = tx.all(&sql, params![source, &owner.merchant, owner.livemode])?;
    rows.iter().map(|row| object(row, now)).collect()
}

/// The merchant's balance transaction with this id, if there is one.
pub fn find(tx: &mut Tx<'_>, owner: &Owner, id: &str, now: i64) -> Result<Option<Value>, Error> {
    let row = LISTED.row(tx, owner, id)?;
    row.map(|row| object(&row, now)).transpose()
}

/// `GET /v1/balance_transactions/{id}`
pub async fn retrieve(Path(id): Path<String>, mut call: Call) -> Result<Json<Value>, Error> {
    let expand = Expand::parse(&mut call.params)?;
    call.params.finish()?;
    let (app, owner, now) = (call.app.clone(), call.owner, call.app.clock.now());
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let found = find(tx, &owner, &id, now)?;
        let missing = || {
            Refusal::no_such("balance transaction")
                .param("id")
                .not_found()
        };
        expand.apply(tx, &app, &owner, found.ok_or_else(missing)?)
    };
    call.app.store.read(read).await.map(Json)
}

/// `GET /v1/balance_transactions`
pub async fn list(mut call: Call) -> Result<Json<Value>, Error> {
    let page = Page::with_created(&mut call.params)?;
    let expand = Expand::parse(&mut call.params)?;
    let kind = call.params.one_of("type", TYPES)?;
    let source = call.params.text("source", 100)?;
    let currency = call.params.text("currency", 10)?;
    call.params.finish()?;
    let wanted = [
        ("type", kind.map(str::to_owned)),
        ("source", source),
        ("currency", currency),
    ];
    let given = wanted
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let conditions = given.map(|(name, value)| Condition::equal(name, &value));
    let conditions = conditions.collect();
    LIST.page(call.app, call.owner, page, expand, conditions)
        .await
}

static LIST: ListRoute = ListRoute {
    url: "/v1/balance_transactions",
    table: &LISTED,
    filters: &[],
    object: |row, app| object(row, app.clock.now()),
};

/// `GET /v1/balance`
pub async fn balance(call: Call) -> Result<Json<Value>, Error> {
    call.params.finish()?;
    let (owner, now) = (call.owner, call.app.clock.now());
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let rows = tx.all(
            "select currency, cast(sum(case when available_on <= $3 then net else 0 end) as bigint),
                 cast(sum(case when available_on <= $3 then 0 else net end) as bigint)
             from balance_transactions where merchant = $1 and livemode = $2 group by currency order by currency",
            params![&owner.merchant, owner.livemode, now],
        )?;
        let (mut available, mut pending) = (Vec::new(), Vec::new());
        for row in &rows {
            let currency: String = row.get(0)?;
            for (at, list) in [(1, &mut available), (2, &mut pending)] {
                let amount: i64 = row.get(at)?;
                list.push(json!({
                    "amount": amount, "currency": currency, "source_types": { "card": amount },
                }));
            }
        }
        Ok(json!({
            "object": "balance",
            "available": available,
            "livemode": owner.livemode,
            "pending": pending,
        }))
    };
    call.app.store.read(read).await.map(Json)
}
