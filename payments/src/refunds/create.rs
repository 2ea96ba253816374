//! `POST /v1/refunds`: the amount is reserved on the charge by one conditional update before the acquirer is asked, and
//! given back only on a definite no. Two of 60 on 100 cannot both pass.

use axum::response::Response;
use serde_json::json;
use store::{Tx, params};

use super::{answer, emit, operation_id};
use crate::app::{App, Origin, Owner};
use crate::balance;
use crate::charges::Charge;
use crate::connectors::Operation as Kind;
use crate::conversion;
use crate::currency;
use crate::disputes;
use crate::error::{Error, Refusal};
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::params::{Metadata, Params, merge_metadata};
use crate::intents::Intent;
use crate::ledger::{self, Refunding};
use crate::operations::{self, Operation};

const REASONS: &[&str] = &["duplicate", "fraudulent", "requested_by_customer"];

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
