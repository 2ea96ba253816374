//! What an attempt carries besides the card: who is behind the payment.

use serde::{Deserialize, Serialize};
use store::{Tx, params};

use super::exemptions::Exemption;
use crate::billing::{Billing, Compared};
use crate::conversion::Rate;
use crate::error::Error;
use crate::intents::Intent;
use crate::payment_methods::PaymentMethod;
use crate::risk::Assessment;

/// Kept with the attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carried {
    /// The authentication whose values go with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<String>,
    /// A soft decline may ask the buyer to act.
    pub may_step_up: bool,
    /// Where the buyer returns to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
    /// The card's details are kept, or were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// The exemption from an authentication that the acquirer asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exemption: Option<Exemption>,
    /// What the fraud rules said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<Assessment>,
    /// The rate that a sale is settled at, where the merchant is paid in another currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion: Option<Rate>,
    /// What the issuer compares of the buyer's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Compared>,
}

/// The schemes' framework of stored credentials: who initiates the payment, with which credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// `customer` or `merchant`.
    pub initiator: String,
    /// `first`: it is kept with this payment; `stored`: it was.
    pub credential: String,
    /// The scheme's id of the payment that set it up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_transaction_id: Option<String>,
}

impl Carried {
    /// What an attempt for the intent carries.
    pub fn new(intent: &Intent, method: &PaymentMethod) -> Self {
        Self {
            authentication: None,
            may_step_up: super::may_ask(intent),
            return_url: return_url(intent),
            credential: credential(intent, method),
            exemption: None,
            risk: None,
            conversion: None,
            address: method.billing.as_ref().and_then(Billing::compared),
        }
    }
}

/// Where the buyer returns to, unless a library in the page opens the authentication.
pub fn return_url(intent: &Intent) -> Option<String> {
    let details = &intent.details;
    let in_page = details.use_stripe_sdk == Some(true);
    details.return_url.clone().filter(|_| !in_page)
}

fn credential(intent: &Intent, method: &PaymentMethod) -> Option<Credential> {
    let stored = method.sealed_token.is_none() && method.stored_card.is_some();
    let by_merchant = intent.details.off_session == Some(true);
    if stored {
        let initiator = if by_merchant { "merchant" } else { "customer" };
        return Some(Credential {
            initiator: initiator.into(),
            credential: "stored".into(),
            network_transaction_id: method.network_transaction_id.clone(),
        });
    }
    let kept = intent.details.setup_future_usage.is_some();
    kept.then(|| Credential {
        initiator: if by_merchant { "merchant" } else { "customer" }.into(),
        credential: "first".into(),
        network_transaction_id: None,
    })
}

/// The scheme's id of the payment that set the card up is kept once.
pub fn remember_network_transaction(
    tx: &mut Tx<'_>,
    method: &str,
    id: Option<&str>,
) -> Result<(), Error> {
    if let Some(id) = id {
        tx.execute(
            "update payment_methods set network_transaction_id = $2
             where id = $1 and stored_card is not null and network_transaction_id is null",
            params![method, id],
        )?;
    }
    Ok(())
}
