//! Payment intents: the row, its states, and the routes that move it. Read next: [`object`], [`create`], [`confirm`].

pub mod begin;
pub mod cancel;
pub mod capture;
pub mod confirm;
pub mod create;
pub mod object;
pub mod options;
pub mod retrieve;
pub mod search;
pub mod update;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Row, Tx, params};

use crate::app::Owner;
use crate::error::{Error, Refusal};
use crate::http::pages::Listed;
use crate::http::params::{Metadata, from_column};

/// The table, as lists see it.
pub const LISTED: Listed = Listed {
    table: "payment_intents",
    columns: "id, merchant, livemode, created_ms, amount, currency, status, capture_method, amount_capturable, \
              amount_received, payment_method, latest_charge, last_payment_error, canceled_at, cancellation_reason, \
              details, customer, next_action, queued",
};

/// A payment intent.
#[derive(Debug, Clone)]
pub struct Intent {
    pub id: String,
    pub owner: Owner,
    pub created_ms: i64,
    pub amount: i64,
    pub currency: String,
    pub status: String,
    pub capture_method: String,
    pub amount_capturable: i64,
    pub amount_received: i64,
    pub payment_method: Option<String>,
    pub latest_charge: Option<String>,
    pub last_payment_error: Option<Value>,
    pub canceled_at: Option<i64>,
    pub cancellation_reason: Option<String>,
    pub details: Details,
    pub customer: Option<String>,
    /// Stripe's object, while the buyer has something to do.
    pub next_action: Option<Value>,
    /// The confirmation that was accepted and not begun.
    pub queued: Option<String>,
}

/// What is only kept and shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    pub description: Option<String>,
    pub metadata: Metadata,
    pub receipt_email: Option<String>,
    pub statement_descriptor: Option<String>,
    pub statement_descriptor_suffix: Option<String>,
    pub return_url: Option<String>,
    pub setup_future_usage: Option<String>,
    /// The buyer was not there when it was confirmed.
    pub off_session: Option<bool>,
    pub payment_method_types: Vec<String>,
    /// When the buyer is authenticated: automatic (an issuer wants it), any, challenge.
    pub request_three_d_secure: Option<String>,
    /// A confirmation fails where the buyer would have to act.
    pub error_on_requires_action: Option<bool>,
    /// A library in the page opens what the buyer has to do.
    pub use_stripe_sdk: Option<bool>,
    /// Stripe's `automatic_payment_methods`, when it was sent.
    pub automatic_payment_methods: Option<Value>,
    /// The Checkout Session that it belongs to.
    pub checkout_session: Option<String>,
    /// The network that the buyer pays from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_address: Option<String>,
    /// What the merchant calls the buyer's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_session: Option<String>,
}

impl Intent {
    /// A new one that waits for a payment method, captured at once.
    pub fn open(id: String, owner: &Owner, created_ms: i64, amount: i64, currency: &str) -> Self {
        Self {
            id,
            owner: owner.clone(),
            created_ms,
            amount,
            currency: currency.to_owned(),
            status: "requires_payment_method".into(),
            capture_method: "automatic".into(),
            amount_capturable: 0,
            amount_received: 0,
            payment_method: None,
            latest_charge: None,
            last_payment_error: None,
            canceled_at: None,
            cancellation_reason: None,
            details: Details {
                payment_method_types: vec!["card".into()],
                ..Details::default()
            },
            customer: None,
            next_action: None,
            queued: None,
        }
    }

    /// From a row of [`LISTED`]'s columns.
    pub fn from_row(row: &Row) -> Result<Self, Error> {
        let error: Option<String> = row.get(12)?;
        let next_action: Option<String> = row.get(17)?;
        Ok(Self {
            id: row.get(0)?,
            owner: Owner {
                merchant: row.get(1)?,
                livemode: row.get(2)?,
            },
            created_ms: row.get(3)?,
            amount: row.get(4)?,
            currency: row.get(5)?,
            status: row.get(6)?,
            capture_method: row.get(7)?,
            amount_capturable: row.get(8)?,
            amount_received: row.get(9)?,
            payment_method: row.get(10)?,
            latest_charge: row.get(11)?,
            last_payment_error: error.as_deref().map(from_column).transpose()?,
            canceled_at: row.get(13)?,
            cancellation_reason: row.get(14)?,
            details: from_column(&row.get::<String>(15)?)?,
            customer: row.get(16)?,
            next_action: next_action.as_deref().map(from_column).transpose()?,
            queued: row.get(18)?,
        })
    }

    /// The merchant's intent with this id, if there is one.
    pub fn find(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Option<Self>, Error> {
        let row = LISTED.row(tx, owner, id)?;
        row.as_ref().map(Self::from_row).transpose()
    }

    /// The merchant's intent that a path names: another merchant's is missing like a random one.
    pub fn load(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Self, Error> {
        let found = Self::find(tx, owner, id)?;
        found.ok_or_else(|| {
            Refusal::no_such("payment_intent")
                .param("intent")
                .not_found()
                .into()
        })
    }

    /// Ends what the buyer was asked to do: the intent waits for a confirmation again.
    pub fn reopen(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        crate::three_ds::record::abandon(tx, &self.id)?;
        let moved = tx.execute(
            "update payment_intents set status = 'requires_confirmation', next_action = null
             where id = $1 and status = 'requires_action'",
            params![&self.id],
        )?;
        if moved == 1 {
            self.status = "requires_confirmation".into();
            self.next_action = None;
        }
        Ok(())
    }

    /// The refusal of what this intent's state does not allow.
    pub fn unexpected_state(&self, seal: &crate::seal::Seal, verb: &str) -> Error {
        let message = match self.status.as_str() {
            "processing" => format!(
                "You cannot {verb} this PaymentIntent because it has a status of processing: its outcome at the \
                 acquirer is being found out."
            ),
            status => {
                format!("You cannot {verb} this PaymentIntent because it has a status of {status}.")
            }
        };
        Refusal::new("payment_intent_unexpected_state", message)
            .intent(self.object(seal))
            .into()
    }
}
