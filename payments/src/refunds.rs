//! Refunds: the amount is reserved on the charge by one conditional update before the acquirer is asked, and given
//! back only on a definite no. Two of 60 on 100 cannot both pass.

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use store::{Row, Tx, params};

use crate::app::{App, Origin, Owner};
use crate::balance;
use crate::charges::Charge;
use crate::connectors::Operation as Kind;
use crate::conversion;
use crate::currency;
use crate::disputes;
use crate::error::{Error, Refusal};
use crate::events;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::pages::{self, ListRoute, Listed};
use crate::http::params::{Metadata, Params, from_column, merge_metadata};
use crate::intents::Intent;
use crate::ledger::{self, Refunding};
use crate::operations::{self, Operation};

const LISTED: Listed = Listed {
    table: "refunds",
    columns: "id, merchant, livemode, created_ms, charge, intent, amount, currency, status, reason, failure_reason, \
              metadata, \
              (select b.id from balance_transactions b where b.source = refunds.id and b.type = 'refund') as balance_transaction, \
              (select b.id from balance_transactions b where b.source = refunds.id and b.type = 'refund_failure') \
                  as failure_balance_transaction",
};

const REASONS: &[&str] = &["duplicate", "fraudulent", "requested_by_customer"];

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

/// `POST /v1/refunds`
pub async fn create(call: Call) -> Response {
    idempotency::run(call, "re", |mut call, id| async move {
        let wanted = Wanted::parse(&mut call.params)?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let operation = reserve(&app, &owner, &id, wanted, &origin).await?;
        if operation.state == "pending" {
            // No definite answer leaves the refund pending: the resolver repeats it under the same reference.
            operations::perform(&app, &operation).await?;
        }
        answer(&app, owner, id, expand).await
    })
    .await
}

/// What the call asks for.
#[derive(Clone)]
struct Wanted {
    charge: Option<String>,
    intent: Option<String>,
    amount: Option<i64>,
    reason: Option<&'static str>,
    metadata: Metadata,
}

impl Wanted {
    fn parse(params: &mut Params) -> Result<Self, Error> {
        let (charge, intent) = (
            params.text("charge", 100)?,
            params.text("payment_intent", 100)?,
        );
        if charge.is_some() == intent.is_some() {
            let message =
                "One of the parameters payment_intent and charge is needed, and only one.";
            return Err(Refusal::new("parameter_missing", message)
                .param("payment_intent")
                .into());
        }
        let mut metadata = Metadata::new();
        merge_metadata(&mut metadata, params.metadata()?)?;
        Ok(Self {
            charge,
            intent,
            amount: currency::amount(params, "amount")?,
            reason: params.one_of("reason", REASONS)?,
            metadata,
        })
    }

    fn find_charge(&self, tx: &mut Tx<'_>, owner: &Owner) -> Result<Charge, Error> {
        if let Some(id) = &self.charge {
            let charge = Charge::find(tx, owner, id)?;
            return charge.ok_or_else(|| Refusal::no_such("charge").param("charge").into());
        }
        let id = self.intent.as_deref().unwrap_or_default();
        let intent = Intent::find(tx, owner, id)?;
        let intent =
            intent.ok_or_else(|| Refusal::no_such("payment_intent").param("payment_intent"))?;
        let charge = intent
            .latest_charge
            .map(|id| Charge::find(tx, owner, &id))
            .transpose()?
            .flatten();
        charge.ok_or_else(|| {
            let message = "This PaymentIntent does not have a successful charge to refund.";
            Refusal::new("charge_not_refundable", message)
                .param("payment_intent")
                .into()
        })
    }
}

async fn reserve(
    app: &App,
    owner: &Owner,
    id: &str,
    wanted: Wanted,
    origin: &Origin,
) -> Result<Operation, Error> {
    let (owner, id, origin, now_ms) = (
        owner.clone(),
        id.to_owned(),
        origin.clone(),
        app.clock.now_ms(),
    );
    let shared = app.clone();
    let write = move |tx: &mut Tx<'_>| -> Result<Operation, Error> {
        // A resumed call finds what it began.
        if let Some(begun) = Operation::find(tx, &operation_id(&id))? {
            return Ok(begun);
        }
        let charge = wanted.find_charge(tx, &owner)?;
        if disputes::holds_money(tx, &charge.id)? {
            let message =
                "The charge has been charged back: the buyer's bank has its money already.";
            return Err(Refusal::new("charge_disputed", message).into());
        }
        let left = charge.amount_captured - charge.amount_refunded - charge.refund_reserved;
        let amount = wanted.amount.unwrap_or(left);
        let reserved = tx.execute(
            "update charges set refund_reserved = refund_reserved + $2
             where id = $1 and status = 'succeeded' and $2 > 0
               and amount_refunded + refund_reserved + $2 <= amount_captured",
            params![&charge.id, amount],
        )?;
        if reserved == 0 {
            return Err(not_refundable(&charge, left));
        }
        tx.execute(
            "insert into refunds (id, merchant, livemode, created_ms, charge, intent, amount, currency, status, reason,
                 metadata)
             values ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', $9, $10)",
            params![
                &id,
                &owner.merchant,
                owner.livemode,
                now_ms,
                &charge.id,
                &charge.intent,
                amount,
                &charge.currency,
                wanted.reason.map(str::to_owned),
                json!(wanted.metadata).to_string(),
            ],
        )?;
        let before = charge.amount_refunded + charge.refund_reserved;
        let rates = rates(tx, &shared, &charge)?;
        ledger::reserve_refund(tx, &charge, &id, (before, amount), rates.as_ref(), now_ms)?;
        let mut operation =
            Operation::new(&operation_id(&id), Kind::Refund, &charge, amount, &origin);
        operation.refund = Some(id.clone());
        operation.insert(tx, now_ms)?;
        emit(tx, &owner, "refund.created", &id, &origin, now_ms)?;
        Ok(operation)
    };
    app.store.write(write).await
}

// A refund leaves the balance that the payment came to, at the rate of now.
fn rates(tx: &mut Tx<'_>, app: &App, charge: &Charge) -> Result<Option<Refunding>, Error> {
    let Some(then) = balance::rate_of(tx, &charge.id, "charge")? else {
        return Ok(None);
    };
    let now = conversion::again(app, &charge.currency, &then.currency)?;
    Ok(Some(Refunding { now, then }))
}

fn operation_id(refund: &str) -> String {
    format!(
        "op_{}",
        refund.split_once('_').map_or(refund, |(_, rest)| rest)
    )
}

fn not_refundable(charge: &Charge, left: i64) -> Error {
    let refusal = if charge.amount_captured == 0 {
        Refusal::new(
            "charge_not_refundable",
            "This charge was not captured, so there is nothing to refund.",
        )
    } else if left == 0 {
        Refusal::new(
            "charge_already_refunded",
            "The charge has already been refunded.",
        )
    } else {
        let message = "The refund amount is greater than the unrefunded amount on the charge.";
        Refusal::new("amount_too_large", message).param("amount")
    };
    refusal.into()
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

/// `POST /v1/refunds/{id}`: metadata.
pub async fn update(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "reu", |mut call, _| async move {
        let said = call.params.metadata()?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let (of, named, now_ms) = (owner.clone(), id.clone(), app.clock.now_ms());
        let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            let mut refund = load(tx, &of, &named)?;
            merge_metadata(&mut refund.metadata, said.clone())?;
            tx.execute(
                "update refunds set metadata = $2 where id = $1",
                params![&named, json!(refund.metadata).to_string()],
            )?;
            emit(tx, &of, "refund.updated", &named, &origin, now_ms)
        };
        app.store.write(write).await?;
        app.deliver.notify_one();
        answer(&app, owner, id, expand).await
    })
    .await
}

/// `POST /v1/refunds/{id}/cancel`: one that the acquirer has certainly not been sent.
pub async fn cancel(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "rec", |mut call, _| async move {
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let (of, named, now_ms) = (owner.clone(), id.clone(), app.clock.now_ms());
        let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            let refund = load(tx, &of, &named)?;
            if refund.status == "canceled" {
                return Ok(());
            }
            // Whoever sends it counts the send first: one of the two finds nothing to do.
            let ended = tx.execute(
                "update operations set state = 'failed' where id = $1 and state = 'pending' and sends = 0",
                params![operation_id(&named)],
            )?;
            if ended == 0 {
                return Err(not_cancelable(&refund));
            }
            tx.execute(
                "update refunds set status = 'canceled', failure_reason = 'merchant_request' where id = $1",
                params![&named],
            )?;
            tx.execute(
                "update charges set refund_reserved = refund_reserved - $2 where id = $1",
                params![&refund.charge, refund.amount],
            )?;
            let charge = Charge::find(tx, &of, &refund.charge)?;
            let charge = charge.ok_or(Error::Internal("a refund's charge is gone"))?;
            ledger::release_refund(tx, &charge, &named, refund.amount, now_ms)?;
            emit(tx, &of, "refund.updated", &named, &origin, now_ms)
        };
        app.store.write(write).await?;
        app.deliver.notify_one();
        answer(&app, owner, id, expand).await
    })
    .await
}

fn not_cancelable(refund: &Refund) -> Error {
    let message = match refund.status.as_str() {
        "pending" => {
            "This refund cannot be canceled: the acquirer may have it already, and its answer is awaited."
                .to_owned()
        }
        status => format!("This refund cannot be canceled: it has a status of {status}."),
    };
    Refusal::plain(message).into()
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
