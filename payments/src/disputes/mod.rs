//! Disputes: what an acquirer says of them becomes Stripe's object ([`sync`]); evidence goes back to the acquirer.

pub mod sync;

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Map, Value, json};
use store::{Row, Tx, params};

use crate::app::{App, Owner};
use crate::connectors::reports::DisputeAnswer;
use crate::error::{Error, Refusal};
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::pages::{self, Listed, Page};
use crate::http::params::{Metadata, Params, from_column, merge_metadata};

const LISTED: Listed = Listed {
    table: "disputes",
    columns: "id, merchant, livemode, created_ms, charge, intent, acquirer, acquirer_dispute, amount, currency, reason, \
              network_reason_code, status, due_by, has_evidence, submissions, evidence, metadata, \
              (select brand from charges c join payment_methods m on m.id = c.payment_method where c.id = disputes.charge)",
};

/// What may be said in a dispute; files are not taken.
const EVIDENCE: &[&str] = &[
    "access_activity_log",
    "billing_address",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_tracking_number",
    "uncategorized_text",
];

/// A dispute.
#[derive(Debug, Clone)]
pub struct Dispute {
    pub id: String,
    pub owner: Owner,
    created_ms: i64,
    pub charge: String,
    intent: String,
    pub acquirer: String,
    pub acquirer_dispute: String,
    pub amount: i64,
    pub currency: String,
    reason: String,
    network_reason_code: String,
    pub status: String,
    due_by: i64,
    has_evidence: bool,
    submissions: i64,
    evidence: Map<String, Value>,
    metadata: Metadata,
    brand: Option<String>,
}

impl Dispute {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get(0)?,
            owner: Owner {
                merchant: row.get(1)?,
                livemode: row.get(2)?,
            },
            created_ms: row.get(3)?,
            charge: row.get(4)?,
            intent: row.get(5)?,
            acquirer: row.get(6)?,
            acquirer_dispute: row.get(7)?,
            amount: row.get(8)?,
            currency: row.get(9)?,
            reason: row.get(10)?,
            network_reason_code: row.get(11)?,
            status: row.get(12)?,
            due_by: row.get(13)?,
            has_evidence: row.get(14)?,
            submissions: row.get(15)?,
            evidence: from_column(&row.get::<String>(16)?)?,
            metadata: from_column(&row.get::<String>(17)?)?,
            brand: row.get(18)?,
        })
    }

    /// The merchant's dispute with this id, if there is one.
    pub fn find(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Option<Self>, Error> {
        let row = LISTED.row(tx, owner, id)?;
        row.as_ref().map(Self::from_row).transpose()
    }

    fn load(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Self, Error> {
        let found = Self::find(tx, owner, id)?;
        found.ok_or_else(|| {
            Refusal::no_such("dispute")
                .param("dispute")
                .not_found()
                .into()
        })
    }

    fn is_open(&self) -> bool {
        self.status.ends_with("needs_response") || self.status.ends_with("under_review")
    }

    /// The Dispute object.
    pub fn object(&self, tx: &mut Tx<'_>, now: i64) -> Result<Value, Error> {
        let inquiry = self.status.starts_with("warning");
        let mut evidence = Map::new();
        for name in EVIDENCE {
            let said = self.evidence.get(*name).cloned();
            evidence.insert((*name).to_owned(), said.unwrap_or(Value::Null));
        }
        Ok(json!({
            "id": self.id,
            "object": "dispute",
            "amount": self.amount,
            "balance_transactions": crate::balance::of_source(tx, &self.owner, &self.id, now)?,
            "charge": self.charge,
            "created": self.created_ms.div_euclid(1000),
            "currency": self.currency,
            "enhanced_eligibility_types": [],
            "evidence": evidence,
            "evidence_details": {
                "due_by": self.due_by,
                "enhanced_eligibility": {},
                "has_evidence": self.has_evidence,
                "past_due": self.due_by <= now && !self.has_evidence,
                "submission_count": self.submissions,
            },
            "is_charge_refundable": inquiry,
            "livemode": self.owner.livemode,
            "metadata": self.metadata,
            "network_reason_code": self.network_reason_code,
            "payment_intent": self.intent,
            "payment_method_details": { "type": "card", "card": {
                "brand": self.brand,
                "case_type": if inquiry { "inquiry" } else { "chargeback" },
                "network_reason_code": self.network_reason_code,
            } },
            "reason": self.reason,
            "status": self.status,
        }))
    }
}

/// Whether a charge's money is in a dispute that was not won: it cannot be refunded on top.
pub fn holds_money(tx: &mut Tx<'_>, charge: &str) -> Result<bool, Error> {
    let row = tx.first(
        "select 1 from disputes where charge = $1 and status in ('needs_response', 'under_review', 'lost')",
        params![charge],
    )?;
    Ok(row.is_some())
}

async fn answer(app: &App, owner: Owner, id: String, expand: Expand) -> Result<Value, Error> {
    let (shared, now) = (app.clone(), app.clock.now());
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let object = Dispute::load(tx, &owner, &id)?.object(tx, now)?;
        expand.apply(tx, &shared, &owner, object)
    };
    app.store.read(read).await
}

/// `GET /v1/disputes/{id}`
pub async fn retrieve(Path(id): Path<String>, mut call: Call) -> Result<Json<Value>, Error> {
    let expand = Expand::parse(&mut call.params)?;
    call.params.finish()?;
    answer(&call.app, call.owner, id, expand).await.map(Json)
}

/// `GET /v1/disputes`
pub async fn list(mut call: Call) -> Result<Json<Value>, Error> {
    let (page, expand) = (
        Page::with_created(&mut call.params)?,
        Expand::parse(&mut call.params)?,
    );
    let charge = call.params.text("charge", 100)?;
    let intent = call.params.text("payment_intent", 100)?;
    call.params.finish()?;
    let (app, owner, now) = (call.app.clone(), call.owner, call.app.clock.now());
    let read = move |tx: &mut Tx<'_>| -> Result<Value, Error> {
        let mut filters = Vec::new();
        filters.extend(charge.as_deref().map(|id| ("charge", id)));
        filters.extend(intent.as_deref().map(|id| ("intent", id)));
        let (rows, more) = page.select(tx, &LISTED, &owner, &filters)?;
        let mut data = Vec::new();
        for row in &rows {
            data.push(Dispute::from_row(row)?.object(tx, now)?);
        }
        let list = pages::list("/v1/disputes", data, more);
        expand.apply(tx, &app, &owner, list)
    };
    call.app.store.read(read).await.map(Json)
}

/// What an update says.
struct Update {
    evidence: Map<String, Value>,
    metadata: std::collections::BTreeMap<String, Option<String>>,
    submit: bool,
}

impl Update {
    fn parse(params: &mut Params) -> Result<Self, Error> {
        let mut evidence = Map::new();
        if let Some(mut said) = params.hash("evidence")? {
            for name in EVIDENCE {
                if let Some(text) = said.text(name, 20_000)? {
                    evidence.insert((*name).to_owned(), json!(text));
                }
            }
            said.finish()?;
        }
        Ok(Self {
            evidence,
            metadata: params.metadata()?,
            submit: params.boolean("submit")?.unwrap_or(true),
        })
    }
}

/// `POST /v1/disputes/{id}`: evidence and metadata; submitted to the acquirer unless `submit` is false.
pub async fn update(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "dpu", |mut call, _| async move {
        let update = Update::parse(&mut call.params)?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call { app, owner, .. } = call;
        let submit = update.submit && !update.evidence.is_empty();
        let dispute = keep(&app, &owner, &id, update).await?;
        if submit {
            let text = text_of(&dispute.evidence);
            tell(&app, &dispute, DisputeAnswer::Evidence(&text)).await?;
        }
        answer(&app, owner, id, expand).await
    })
    .await
}

// What is said is kept before it is sent, so that a repeated call sends the same.
async fn keep(app: &App, owner: &Owner, id: &str, update: Update) -> Result<Dispute, Error> {
    let (owner, id) = (owner.clone(), id.to_owned());
    let write = move |tx: &mut Tx<'_>| -> Result<Dispute, Error> {
        LISTED.lock(tx, &owner, &id)?;
        let mut dispute = Dispute::load(tx, &owner, &id)?;
        if !update.evidence.is_empty() && !dispute.is_open() {
            return Err(closed());
        }
        dispute.evidence.extend(update.evidence.clone());
        merge_metadata(&mut dispute.metadata, update.metadata.clone())?;
        tx.execute(
            "update disputes set evidence = $2, metadata = $3 where id = $1",
            params![
                &dispute.id,
                Value::from(dispute.evidence.clone()).to_string(),
                json!(dispute.metadata).to_string()
            ],
        )?;
        Ok(dispute)
    };
    app.store.write(write).await
}

fn closed() -> Error {
    Refusal::plain("This dispute is already closed: nothing more can be said in it.").into()
}

fn text_of(evidence: &Map<String, Value>) -> String {
    let lines = evidence
        .iter()
        .map(|(name, text)| format!("{name}: {}", text.as_str().unwrap_or_default()));
    lines.collect::<Vec<_>>().join("\n")
}

/// `POST /v1/disputes/{id}/close`: the loss is taken.
pub async fn close(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "dpc", |mut call, _| async move {
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call { app, owner, .. } = call;
        let (of, named) = (owner.clone(), id.clone());
        let read = move |tx: &mut Tx<'_>| Dispute::load(tx, &of, &named);
        let dispute = app.store.read(read).await?;
        if !dispute.is_open() {
            return Err(closed());
        }
        tell(&app, &dispute, DisputeAnswer::Accept).await?;
        answer(&app, owner, id, expand).await
    })
    .await
}

// The acquirer's answer is the dispute as it stands: it is taken over like any report of it.
async fn tell(app: &App, dispute: &Dispute, what: DisputeAnswer<'_>) -> Result<(), Error> {
    let acquirer = app.acquirer(&dispute.acquirer)?;
    let connector = &acquirer.connector;
    let call = connector.answer_dispute(&dispute.acquirer_dispute, what);
    let unanswered = || Error::Acquirer("a dispute's answer");
    let (status, body) = acquirer.call(call).await.map_err(|error| {
        tracing::warn!(id = dispute.id, %error, "an answer to a dispute was not acknowledged");
        unanswered()
    })?;
    let reports = connector.read_disputes(status, &body);
    for report in reports.ok_or_else(unanswered)? {
        sync::take(app, acquirer, report).await?;
    }
    Ok(())
}
