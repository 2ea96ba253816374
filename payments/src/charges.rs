//! Charges: what an acquirer answered to an attempt, and what became of the money since.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};
use store::{Row, Tx, params};
use vault_api::ids::ordered_id;

use crate::app::Owner;
use crate::attempts::Attempt;
use crate::billing::Billing;
use crate::connectors::{Decline, Facts, Payment, Verdict, avs};
use crate::error::{Error, Refusal};
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::pages::{ListRoute, Listed};
use crate::http::params::from_column;
use crate::intents::Details;
use crate::risk::{self, Assessment};
use vault_api::tokens::CardSummary;

/// The table, as lists see it: the charge, its card and its intent's words.
pub const LISTED: Listed = Listed {
    table: "charges",
    columns: "id, merchant, livemode, created_ms, intent, attempt, payment_method, amount, currency, status, \
              captured, amount_captured, amount_refunded, refund_reserved, acquirer, acquirer_payment, response_code, \
              authorization_code, network_transaction_id, cvc_result, avs_result, failure_code, decline_code, \
              failure_message, \
              (select brand from payment_methods m where m.id = charges.payment_method), \
              (select last4 from payment_methods m where m.id = charges.payment_method), \
              (select exp_month from payment_methods m where m.id = charges.payment_method), \
              (select exp_year from payment_methods m where m.id = charges.payment_method), \
              (select details from payment_intents i where i.id = charges.intent), \
              (select customer from payment_intents i where i.id = charges.intent), \
              (select b.id from balance_transactions b where b.source = charges.id and b.type = 'charge') as balance_transaction, \
              three_d_secure, \
              (select cast(count(*) as bigint) from disputes d where d.charge = charges.id), advice_code, \
              risk, (select id from reviews r where r.charge = charges.id) as review, capture_before, \
              (select billing_details from payment_methods m where m.id = charges.payment_method)",
};

/// A charge's customer is its intent's.
const CUSTOMER: &str = "(select customer from payment_intents i where i.id = charges.intent)";

/// A charge.
#[derive(Debug, Clone)]
pub struct Charge {
    pub id: String,
    pub owner: Owner,
    pub created_ms: i64,
    pub intent: String,
    pub attempt: String,
    pub payment_method: String,
    pub amount: i64,
    pub currency: String,
    pub status: String,
    pub captured: bool,
    pub amount_captured: i64,
    pub amount_refunded: i64,
    pub refund_reserved: i64,
    pub acquirer: String,
    pub acquirer_payment: Option<String>,
    pub facts: Facts,
    /// Stripe's code, decline code and sentence.
    pub failure: Option<(String, String, String)>,
    card: Option<CardSummary>,
    details: Details,
    customer: Option<String>,
    balance_transaction: Option<String>,
    three_d_secure: Option<Value>,
    disputed: bool,
    /// What the fraud rules said of it.
    pub risk: Option<Assessment>,
    review: Option<String>,
    /// Of an authorisation: until when it can be captured, Unix seconds.
    pub capture_before: Option<i64>,
    billing: Option<Billing>,
}

impl Charge {
    /// The charge that a settled attempt is.
    pub fn of_attempt(
        attempt: &Attempt,
        payment: &Payment,
        decline: Option<&Decline>,
        now_ms: i64,
    ) -> Self {
        let captured = decline.is_none() && payment.verdict == Verdict::Captured;
        Self {
            id: ordered_id("ch"),
            owner: attempt.owner.clone(),
            created_ms: now_ms,
            intent: attempt.intent.clone(),
            attempt: attempt.id.clone(),
            payment_method: attempt.payment_method.clone(),
            amount: attempt.amount,
            currency: attempt.currency.clone(),
            status: if decline.is_some() {
                "failed"
            } else {
                "succeeded"
            }
            .into(),
            captured,
            amount_captured: if captured { attempt.amount } else { 0 },
            amount_refunded: 0,
            refund_reserved: 0,
            acquirer: attempt.acquirer.clone(),
            acquirer_payment: payment.id.clone(),
            facts: payment.facts.clone(),
            failure: decline.map(|d| (d.code.into(), d.decline_code.into(), d.message.into())),
            card: None,
            details: Details::default(),
            customer: None,
            balance_transaction: None,
            three_d_secure: None,
            disputed: false,
            risk: attempt.carried.risk.clone(),
            review: None,
            capture_before: None,
            billing: None,
        }
    }

    /// From a row of [`LISTED`]'s columns.
    pub fn from_row(row: &Row) -> Result<Self, Error> {
        let code: Option<String> = row.get(21)?;
        let three_d_secure: Option<String> = row.get(31)?;
        let risk: Option<String> = row.get(34)?;
        let billing: Option<String> = row.get(37)?;
        let failure = match code {
            Some(code) => Some((code, row.get(22)?, row.get(23)?)),
            None => None,
        };
        let brand: Option<String> = row.get(24)?;
        let card = match brand {
            Some(brand) => Some(CardSummary {
                brand,
                last4: row.get(25)?,
                exp_month: row.get(26)?,
                exp_year: row.get(27)?,
                networks: None,
            }),
            None => None,
        };
        Ok(Self {
            id: row.get(0)?,
            owner: Owner {
                merchant: row.get(1)?,
                livemode: row.get(2)?,
            },
            created_ms: row.get(3)?,
            intent: row.get(4)?,
            attempt: row.get(5)?,
            payment_method: row.get(6)?,
            amount: row.get(7)?,
            currency: row.get(8)?,
            status: row.get(9)?,
            captured: row.get(10)?,
            amount_captured: row.get(11)?,
            amount_refunded: row.get(12)?,
            refund_reserved: row.get(13)?,
            acquirer: row.get(14)?,
            acquirer_payment: row.get(15)?,
            facts: Facts {
                response_code: row.get(16)?,
                authorization_code: row.get(17)?,
                network_transaction_id: row.get(18)?,
                cvc_result: row.get(19)?,
                avs_result: row.get(20)?,
                advice_code: row.get(33)?,
            },
            failure,
            card,
            details: from_column(&row.get::<String>(28)?)?,
            customer: row.get(29)?,
            balance_transaction: row.get(30)?,
            three_d_secure: three_d_secure.as_deref().map(from_column).transpose()?,
            disputed: row.get::<i64>(32)? > 0,
            risk: risk.as_deref().map(from_column).transpose()?,
            review: row.get(35)?,
            capture_before: row.get(36)?,
            billing: billing.as_deref().map(from_column).transpose()?,
        })
    }

    /// The merchant's charge with this id, if there is one.
    pub fn find(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Option<Self>, Error> {
        let row = LISTED.row(tx, owner, id)?;
        row.as_ref().map(Self::from_row).transpose()
    }

    pub fn insert(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let facts = self.facts.clone();
        let failure = self.failure.clone();
        tx.execute(
            "insert into charges (id, merchant, livemode, created_ms, intent, attempt, payment_method, amount, currency,
                 status, captured, amount_captured, acquirer, acquirer_payment, response_code, authorization_code,
                 network_transaction_id, cvc_result, avs_result, failure_code, decline_code, failure_message,
                 advice_code, risk, capture_before, expiry_check_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
                 $22, $23, $24, $25, $25)",
            params![
                &self.id,
                &self.owner.merchant,
                self.owner.livemode,
                self.created_ms,
                &self.intent,
                &self.attempt,
                &self.payment_method,
                self.amount,
                &self.currency,
                &self.status,
                self.captured,
                self.amount_captured,
                &self.acquirer,
                self.acquirer_payment.clone(),
                facts.response_code,
                facts.authorization_code,
                facts.network_transaction_id,
                facts.cvc_result,
                facts.avs_result,
                failure.as_ref().map(|f| f.0.clone()),
                failure.as_ref().map(|f| f.1.clone()),
                failure.as_ref().map(|f| f.2.clone()),
                facts.advice_code,
                self.risk.as_ref().map(|risk| json!(risk).to_string()),
                self.capture_before,
            ],
        )?;
        Ok(())
    }

    /// The Charge object.
    pub fn object(&self) -> Value {
        json!({
            "id": self.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount_captured,
            "amount_refunded": self.amount_refunded,
            "application": null,
            "application_fee": null,
            "application_fee_amount": null,
            "authorization_code": self.facts.authorization_code,
            "balance_transaction": self.balance_transaction,
            "billing_details": Billing::object(self.billing.as_ref()),
            "calculated_statement_descriptor": self.details.statement_descriptor,
            "captured": self.captured,
            "created": self.created_ms.div_euclid(1000),
            "currency": self.currency,
            "customer": self.customer,
            "description": self.details.description,
            "disputed": self.disputed,
            "failure_balance_transaction": null,
            "failure_code": self.failure.as_ref().map(|failure| &failure.0),
            "failure_message": self.failure.as_ref().map(|failure| &failure.2),
            "fraud_details": {},
            "livemode": self.owner.livemode,
            "metadata": self.details.metadata,
            "on_behalf_of": null,
            "outcome": self.outcome(),
            "paid": self.status == "succeeded",
            "payment_intent": self.intent,
            "payment_method": self.payment_method,
            "payment_method_details": { "type": "card", "card": self.card_details() },
            "receipt_email": self.details.receipt_email,
            "receipt_number": null,
            "receipt_url": null,
            "refunded": self.amount_captured > 0 && self.amount_refunded == self.amount_captured,
            "review": self.review,
            "shipping": null,
            "source": null,
            "source_transfer": null,
            "statement_descriptor": self.details.statement_descriptor,
            "statement_descriptor_suffix": self.details.statement_descriptor_suffix,
            "status": self.status,
            "transfer_data": null,
            "transfer_group": null,
        })
    }

    fn outcome(&self) -> Value {
        let approved = self.failure.is_none();
        let ruled = self.risk.as_ref().filter(|risk| approved || risk.blocks());
        let mut outcome = ruled
            .and_then(risk::outcome)
            .unwrap_or_else(|| self.issuers_outcome());
        if let Some(risk) = &self.risk {
            outcome["risk_level"] = json!(risk.level());
            outcome["risk_score"] = json!(risk.score);
            if let Some(rule) = &risk.rule {
                outcome["rule"] = json!(rule);
            }
        }
        outcome
    }

    fn issuers_outcome(&self) -> Value {
        let decline_code = self.failure.as_ref().map(|failure| &failure.1);
        // A decline without the issuer's code was ours: the card was not sent again.
        let ours = decline_code.is_some() && self.facts.response_code.is_none();
        let (status, message, kind) = match decline_code {
            Some(_) if ours => (
                "not_sent_to_network",
                "The schemes do not allow this card to be tried again.",
                "blocked",
            ),
            None => ("approved_by_network", "Payment complete.", "authorized"),
            Some(_) => (
                "declined_by_network",
                "The bank returned a decline.",
                "issuer_declined",
            ),
        };
        json!({
            "advice_code": null,
            "network_advice_code": decline_code.and(self.facts.advice_code.as_ref()),
            "network_decline_code": decline_code.and(self.facts.response_code.as_ref()),
            "network_status": status,
            "reason": decline_code,
            "seller_message": message,
            "type": kind,
        })
    }

    fn card_details(&self) -> Value {
        let card = self.card.as_ref();
        let brand = card.map(|card| card.brand.as_str());
        let approved = self.failure.is_none();
        let authenticated = self.three_d_secure.as_ref().unwrap_or(&Value::Null);
        let (mut line1, mut postal_code) = avs::checks(brand, self.facts.avs_result.as_deref());
        // One letter speaks of both parts; of one that was not sent it says nothing.
        if let Some(sent) = self.billing.as_ref().and_then(Billing::compared) {
            line1 = line1.filter(|_| sent.line1.is_some());
            postal_code = postal_code.filter(|_| sent.postal_code.is_some());
        }
        json!({
            "amount_authorized": approved.then_some(self.amount),
            "authorization_code": self.facts.authorization_code,
            "brand": brand,
            "capture_before": self.capture_before,
            "checks": {
                "address_line1_check": line1,
                "address_postal_code_check": postal_code,
                "cvc_check": avs::cvc(self.facts.cvc_result.as_deref()),
            },
            "country": null,
            "electronic_commerce_indicator": authenticated["electronic_commerce_indicator"],
            "exp_month": card.map(|card| card.exp_month),
            "exp_year": card.map(|card| card.exp_year),
            "fingerprint": null,
            "funding": "unknown",
            "installments": null,
            "last4": card.map(|card| card.last4.as_str()),
            "mandate": null,
            "network": brand,
            "network_transaction_id": self.facts.network_transaction_id,
            "regulated_status": null,
            "three_d_secure": self.three_d_secure,
            "transaction_link_id": null,
            "wallet": null,
        })
    }
}

/// `GET /v1/charges/{id}`
pub async fn retrieve(Path(id): Path<String>, mut call: Call) -> Result<Json<Value>, Error> {
    let expand = Expand::parse(&mut call.params)?;
    call.params.finish()?;
    let (app, owner) = (call.app.clone(), call.owner);
    let read = move |tx: &mut Tx<'_>| {
        let charge = Charge::find(tx, &owner, &id)?;
        let charge =
            charge.ok_or_else(|| Refusal::no_such("charge").param("charge").not_found())?;
        expand.apply(tx, &app, &owner, charge.object())
    };
    call.app.store.read(read).await.map(Json)
}

/// `GET /v1/charges`
pub async fn list(call: Call) -> Result<Json<Value>, Error> {
    LIST.answer(call).await
}

static LIST: ListRoute = ListRoute {
    url: "/v1/charges",
    table: &LISTED,
    filters: &[("payment_intent", "intent"), ("customer", CUSTOMER)],
    object: |row, _| Ok(Charge::from_row(row)?.object()),
};
