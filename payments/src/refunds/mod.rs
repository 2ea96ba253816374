//! Refunds: the row, the object, and reading them. [`create`] reserves and sends, [`change`] is what a merchant may still do.

mod change;
mod create;

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};
use store::{Row, Tx, params};

use crate::app::{App, Origin, Owner};
use crate::error::{Error, Refusal};
use crate::events;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::pages::{self, ListRoute, Listed};
use crate::http::params::{Metadata, from_column};

pub use change::{cancel, update};
pub use create::create;

const LISTED: Listed = Listed {
    table: "refunds",
    columns: "id, merchant, livemode, created_ms, charge, intent, amount, currency, status, reason, failure_reason, \
              metadata, \
              (select b.id from balance_transactions b where b.source = refunds.id and b.type = 'refund') as balance_transaction, \
              (select b.id from balance_transactions b where b.source = refunds.id and b.type = 'refund_failure') \
                  as failure_balance_transaction",
};

/// A refund.
#[derive(Debug, Clone)]
pub struct Refund {
    id: String,
    created_ms: i64,
    charge: String,
    intent: String,
    amount: i64,
    currency: String,
    status: String,
    reason: Option<String>,
    failure_reason: Option<String>,
    metadata: Metadata,
    balance_transaction: Option<String>,
    failure_balance_transaction: Option<String>,
}

impl Refund {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get(0)?,
            created_ms: row.get(3)?,
            charge: row.get(4)?,
            intent: row.get(5)?,
            amount: row.get(6)?,
            currency: row.get(7)?,
            status: row.get(8)?,
            reason: row.get(9)?,
            failure_reason: row.get(10)?,
            metadata: from_column(&row.get::<String>(11)?)?,
            balance_transaction: row.get(12)?,
            failure_balance_transaction: row.get(13)?,
        })
    }

    /// The Refund object.
    pub fn object(&self) -> Value {
        let mut object = json!({
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "balance_transaction": self.balance_transaction,
            "charge": self.charge,
            "created": self.created_ms.div_euclid(1000),
            "currency": self.currency,
            "customer": null,
            "customer_account": null,
            "destination_details": { "type": "card", "card": { "type": "refund" } },
            "metadata": self.metadata,
            "payment_intent": self.intent,
            "payment_method": null,
            "reason": self.reason,
            "receipt_number": null,
            "source_transfer_reversal": null,
            "status": self.status,
            "transfer_reversal": null,
        });
        if let Some(reason) = &self.failure_reason {
            object["failure_reason"] = json!(reason);
        }
        if let Some(id) = &self.failure_balance_transaction {
            object["failure_balance_transaction"] = json!(id);
        }
        if self.status == "pending" {
            object["pending_reason"] = json!("processing");
        }
        object
    }
}

fn load(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Refund, Error> {
    let refund = find(tx, owner, id)?;
    refund.ok_or_else(|| Refusal::no_such("refund").param("id").not_found().into())
}

/// The merchant's refund with this id, if there is one.
pub fn find(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Option<Refund>, Error> {
    let row = LISTED.row(tx, owner, id)?;
    row.as_ref().map(Refund::from_row).transpose()
}

/// Writes an event about a refund.
pub fn emit(
    tx: &mut Tx<'_>,
    owner: &Owner,
    kind: &str,
    id: &str,
    origin: &Origin,
    now_ms: i64,
) -> Result<(), Error> {
    let refund = find(tx, owner, id)?.ok_or(Error::Internal("a refund is gone"))?;
    events::emit(tx, owner, kind, refund.object(), origin, now_ms)
}

/// Stripe's word for why a refund failed, by the issuer's response code.
pub fn failure_reason(code: &str) -> &'static str {
    match code {
        "41" | "43" => "lost_or_stolen_card",
        "33" | "46" | "54" | "78" => "expired_or_canceled_card",
        "51" => "insufficient_funds",
        "" => "unknown",
        _ => "declined",
    }
}

/// The list that a charge has of its refunds: the latest ten, newest first.
pub fn list_of(tx: &mut Tx<'_>, charge: &str) -> Result<Value, Error> {
    let sql = format!(
        "select {} from refunds where charge = $1 order by created_ms desc, id desc limit 11",
        LISTED.columns
    );
    let rows = tx.all(&sql, params![charge])?;
    let data = rows.iter().take(10);
    let data = data.map(|row| Ok(Refund::from_row(row)?.object()));
    let url = format!("/v1/charges/{charge}/refunds");
    let mut list = pages::list(&url, data.collect::<Result<_, Error>>()?, rows.len() > 10);
    list["total_count"] = json!(count(tx, charge)?);
    Ok(list)
}

fn count(tx: &mut Tx<'_>, charge: &str) -> Result<i64, Error> {
    let row = tx.first(
        "select cast(count(*) as bigint) from refunds where charge = $1",
        params![charge],
    )?;
    Ok(row.map(|row| row.get(0)).transpose()?.unwrap_or(0))
}

fn operation_id(refund: &str) -> String {
    format!(
        "op_{}",
        refund.split_once('_').map_or(refund, |(_, rest)| rest)
    )
}

async fn answer(app: &App, owner: Owner, id: String, expand: Expand) -> Result<Value, Error> {
    let shared = app.clone();
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let refund = load(tx, &owner, &id)?;
        expand.apply(tx, &shared, &owner, refund.object())
    };
    app.store.read(read).await
}

/// `GET /v1/refunds/{id}`
pub async fn retrieve(Path(id): Path<String>, mut call: Call) -> Result<Json<Value>, Error> {
    let expand = Expand::parse(&mut call.params)?;
    call.params.finish()?;
    answer(&call.app, call.owner, id, expand).await.map(Json)
}

/// `GET /v1/refunds`
pub async fn list(call: Call) -> Result<Json<Value>, Error> {
    LIST.answer(call).await
}

static LIST: ListRoute = ListRoute {
    url: "/v1/refunds",
    table: &LISTED,
    filters: &[("charge", "charge"), ("payment_intent", "intent")],
    object: |row, _| Ok(Refund::from_row(row)?.object()),
};
