//! Payment methods: a card behind a token of the vault. The token is kept sealed until the card's outcome is known.

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use store::{Row, Tx, params};
use vault_api::TokenName;
use vault_api::tokens::CardSummary;

use crate::app::{App, Owner};
use crate::billing::{Billing, Fresh};
use crate::error::{Error, Refusal};
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::params::{Metadata, Params, from_column, merge_metadata};
use crate::seal::Seal;
use crate::vault::Failure;

/// The columns that [`PaymentMethod::from_row`] reads.
pub const COLUMNS: &str = "id, merchant, livemode, created_ms, sealed_token, brand, last4, exp_month, exp_year, metadata, \
     customer, stored_card, detached, network_transaction_id, billing_details";

/// A payment method.
#[derive(Debug, Clone)]
pub struct PaymentMethod {
    pub id: String,
    pub owner: Owner,
    pub created_ms: i64,
    /// None once the card's outcome is known: the token was good for one payment.
    pub sealed_token: Option<Vec<u8>>,
    /// None until the vault has told us.
    pub card: Option<CardSummary>,
    pub metadata: Metadata,
    pub customer: Option<String>,
    /// The vault's stored card. Only a payment method that has a customer may be paid with it.
    pub stored_card: Option<String>,
    /// It was attached once.
    pub detached: bool,
    /// The scheme's id of the payment that set the card up.
    pub network_transaction_id: Option<String>,
    pub billing: Option<Billing>,
}

impl PaymentMethod {
    pub fn new(seal: &Seal, owner: &Owner, id: String, now_ms: i64, fresh: &Fresh) -> Self {
        let sealed_token = Some(seal.seal(&id, fresh.token.as_bytes()));
        Self {
            id,
            owner: owner.clone(),
            created_ms: now_ms,
            sealed_token,
            card: None,
            metadata: Metadata::new(),
            customer: None,
            stored_card: None,
            detached: false,
            network_transaction_id: None,
            billing: fresh.billing.as_deref().cloned(),
        }
    }

    /// From a row of [`COLUMNS`].
    pub fn from_row(row: &Row) -> Result<Self, Error> {
        let brand: Option<String> = row.get(5)?;
        let card = match brand {
            Some(brand) => Some(CardSummary {
                brand,
                last4: row.get(6)?,
                exp_month: row.get(7)?,
                exp_year: row.get(8)?,
                networks: None,
            }),
            None => None,
        };
        let billing: Option<String> = row.get(14)?;
        Ok(Self {
            id: row.get(0)?,
            owner: Owner {
                merchant: row.get(1)?,
                livemode: row.get(2)?,
            },
            created_ms: row.get(3)?,
            sealed_token: row.get(4)?,
            card,
            metadata: from_column(&row.get::<String>(9)?)?,
            customer: row.get(10)?,
            stored_card: row.get(11)?,
            detached: row.get(12)?,
            network_transaction_id: row.get(13)?,
            billing: billing.as_deref().map(from_column).transpose()?,
        })
    }

    /// The merchant's payment method with this id, if there is one.
    pub fn find(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Option<Self>, Error> {
        let sql = format!(
            "select {COLUMNS} from payment_methods where id = $1 and merchant = $2 and livemode = $3"
        );
        let row = tx.first(&sql, params![id, &owner.merchant, owner.livemode])?;
        row.as_ref().map(Self::from_row).transpose()
    }

    /// Stores it; the same id twice is once: false when it was there.
    pub fn insert(&self, tx: &mut Tx<'_>) -> Result<bool, Error> {
        let card = self.card.as_ref();
        let inserted = tx.execute(
            "insert into payment_methods (id, merchant, livemode, created_ms, sealed_token, brand, last4, exp_month,
                 exp_year, metadata, billing_details)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict do nothing",
            params![
                &self.id,
                &self.owner.merchant,
                self.owner.livemode,
                self.created_ms,
                self.sealed_token.clone(),
                card.map(|c| c.brand.clone()),
                card.map(|c| c.last4.clone()),
                card.map(|c| i64::from(c.exp_month)),
                card.map(|c| i64::from(c.exp_year)),
                json!(self.metadata).to_string(),
                self.billing.as_ref().map(|billing| json!(billing).to_string()),
            ],
        )?;
        Ok(inserted == 1)
    }

    /// That an intent of this customer (or of none) may be paid with it.
    pub fn check_customer(&self, customer: Option<&str>) -> Result<(), Error> {
        let message = match (self.customer.as_deref(), customer) {
            (None, _) if !self.detached => return Ok(()),
            (Some(own), Some(asked)) if own == asked => return Ok(()),
            (None, _) => {
                "The provided PaymentMethod was detached from a Customer. It may not be used again; ask the buyer for \
                 the card again."
            }
            (Some(_), None) => {
                "The PaymentMethod belongs to a Customer. Please include that Customer in the `customer` parameter."
            }
            (Some(_), Some(_)) => {
                "The customer does not have a payment method with this ID. The payment method must be attached to the \
                 customer."
            }
        };
        Err(Refusal::new("payment_method_unexpected_state", message)
            .param("payment_method")
            .into())
    }

    /// What the vault exchanges: the token while it is there, else the customer's stored card.
    pub fn source(&self, seal: &Seal) -> Result<String, Error> {
        match (&self.sealed_token, &self.customer, &self.stored_card) {
            (None, Some(_), Some(card)) => Ok(card.clone()),
            _ => self.token(seal),
        }
    }

    /// The token, while it is there.
    pub fn token(&self, seal: &Seal) -> Result<String, Error> {
        let Some(sealed) = &self.sealed_token else {
            let message = "The provided PaymentMethod was previously used with a PaymentIntent without Customer \
                           attachment. It may not be used again; ask the buyer for the card again.";
            return Err(Refusal::new("payment_method_unexpected_state", message)
                .param("payment_method")
                .into());
        };
        let plain = seal
            .open(&self.id, sealed)
            .map_err(|_| Error::Internal("a sealed token cannot be opened"))?;
        String::from_utf8(plain.to_vec()).map_err(|_| Error::Internal("a sealed token is not text"))
    }

    /// The PaymentMethod object.
    pub fn object(&self) -> Value {
        let card = self.card.as_ref();
        let brand = card.map_or("unknown", |card| card.brand.as_str());
        json!({
            "id": self.id,
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": Billing::object(self.billing.as_ref()),
            "card": {
                "brand": brand,
                "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": null },
                "country": null,
                "display_brand": brand,
                "exp_month": card.map(|card| card.exp_month),
                "exp_year": card.map(|card| card.exp_year),
                "fingerprint": null,
                "funding": "unknown",
                "generated_from": null,
                "last4": card.map(|card| card.last4.as_str()),
                "networks": { "available": [brand], "preferred": null },
                "regulated_status": null,
                "three_d_secure_usage": { "supported": true },
                "wallet": null,
            },
            "created": self.created_ms.div_euclid(1000),
            "customer": self.customer,
            "customer_account": null,
            "livemode": self.owner.livemode,
            "metadata": self.metadata,
            "type": "card",
        })
    }
}

/// What the vault told us of the card, kept for showing.
pub fn remember_card(tx: &mut Tx<'_>, id: &str, card: &CardSummary) -> Result<(), Error> {
    tx.execute(
        "update payment_methods set brand = $2, last4 = $3, exp_month = $4, exp_year = $5 where id = $1",
        params![id, &card.brand, &card.last4, card.exp_month, card.exp_year],
    )?;
    Ok(())
}

/// The vault's stored card that this payment method has, or will have once its payment is approved.
pub fn remember_stored_card(tx: &mut Tx<'_>, id: &str, stored: &str) -> Result<(), Error> {
    tx.execute(
        "update payment_methods set stored_card = $2 where id = $1",
        params![id, stored],
    )?;
    Ok(())
}

/// What its payments bring is available at once: it is a test card.
pub fn remember_available_at_once(tx: &mut Tx<'_>, id: &str) -> Result<(), Error> {
    tx.execute(
        "update payment_methods set available_at_once = 1 where id = $1",
        params![id],
    )?;
    Ok(())
}

/// The card was not approved: the token goes, and with it the stored card that an approval would have made active.
pub fn forget_token(tx: &mut Tx<'_>, id: &str) -> Result<(), Error> {
    tx.execute(
        "update payment_methods set stored_card = case when sealed_token is null then stored_card end,
             sealed_token = null where id = $1",
        params![id],
    )?;
    Ok(())
}

/// The card was approved: the token goes; a card that was to be kept becomes the customer's. True when it did so now.
pub fn approved(tx: &mut Tx<'_>, id: &str, customer: Option<&str>) -> Result<bool, Error> {
    let mut kept = 0;
    if let Some(customer) = customer {
        kept = tx.execute(
            "update payment_methods set customer = $2 where id = $1 and customer is null and detached = 0
                 and stored_card is not null and sealed_token is not null",
            params![id, customer],
        )?;
    }
    tx.execute(
        "update payment_methods set sealed_token = null where id = $1",
        params![id],
    )?;
    Ok(kept == 1)
}

/// Tokens live 15 minutes at the vault and their grants another 15; after a day a sealed one is of no use.
pub fn sweep(tx: &mut Tx<'_>, now_ms: i64) -> Result<(), Error> {
    tx.execute(
        "update payment_methods set sealed_token = null where sealed_token is not null and created_ms < $1
         and not exists (select 1 from attempts where payment_method = payment_methods.id
                         and state in ('sending', 'unknown'))",
        params![now_ms - 24 * 60 * 60 * 1000],
    )?;
    Ok(())
}

/// The token behind a published test payment method (`pm_card_visa`): by name only, the vault knows what it means.
pub fn published_token(id: &str) -> Option<String> {
    let name = id.strip_prefix("pm_card_")?;
    Some(format!("tok_{name}"))
}

/// Takes `card[token]` out of a hash `card`. A token's letters are checked, its meaning is the vault's.
pub fn take_token(params: &mut Params) -> Result<String, Error> {
    let mut card = params.hash("card")?.ok_or_else(|| params.missing("card"))?;
    let name = card.name_of("token");
    let token = card.required("token", 200)?;
    card.finish()?;
    let letters = token
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if token.starts_with("tok_") && letters {
        return Ok(token);
    }
    Err(Refusal::no_such("token").param(name).into())
}

/// `POST /v1/payment_methods`
pub async fn create(call: Call) -> Response {
    idempotency::run(call, "pm", |mut call, id| async move {
        let expand = Expand::parse(&mut call.params)?;
        if call.params.one_of("type", &["card"])?.is_none() {
            return Err(call.params.missing("type"));
        }
        let fresh = Fresh {
            token: take_token(&mut call.params)?,
            billing: Billing::take(&mut call.params)?,
        };
        let update = call.params.metadata()?;
        call.params.finish()?;
        let mut method = PaymentMethod::new(
            &call.app.seal,
            &call.owner,
            id,
            call.app.clock.now_ms(),
            &fresh,
        );
        merge_metadata(&mut method.metadata, update)?;
        method.card = look_at(&call.app, &call.owner, &fresh.token).await?;
        let (app, owner) = (call.app.clone(), call.owner);
        let write = move |tx: &mut Tx<'_>| {
            method.insert(tx)?;
            expand.apply(tx, &app, &owner, method.object())
        };
        call.app.store.write(write).await
    })
    .await
}

/// A token of a security code where one of a card is wanted.
pub fn holds_no_card() -> Refusal {
    let message = "This token holds a security code alone. Pass it as payment_method_options[card][cvc_token], with a \
                   saved card as the payment method.";
    Refusal::new("parameter_invalid", message)
}

// A vault that does not let payments look at tokens tells us the card at the exchange.
async fn look_at(app: &App, owner: &Owner, token: &str) -> Result<Option<CardSummary>, Error> {
    let Ok(token) = TokenName::parse(token) else {
        return Ok(None);
    };
    match app.vault.lookup_token(&owner.merchant, &token).await {
        Ok(found) => match found.card {
            Some(card) => Ok(Some(card)),
            None => Err(holds_no_card().param("card[token]").into()),
        },
        Err(Failure::Refused(problem)) if problem.code == "not_found" => {
            Err(Refusal::no_such("token").param("card[token]").into())
        }
        Err(failure) => {
            tracing::debug!(%failure, "the token's card is not known yet");
            Ok(None)
        }
    }
}

/// `GET /v1/payment_methods/{id}`
pub async fn retrieve(Path(id): Path<String>, mut call: Call) -> Result<Json<Value>, Error> {
    let expand = Expand::parse(&mut call.params)?;
    call.params.finish()?;
    let (app, owner) = (call.app.clone(), call.owner);
    let read = move |tx: &mut Tx<'_>| {
        let method = PaymentMethod::find(tx, &owner, &id)?;
        let method = method.ok_or_else(|| {
            Refusal::no_such("payment_method")
                .param("payment_method")
                .not_found()
        })?;
        expand.apply(tx, &app, &owner, method.object())
    };
    call.app.store.read(read).await.map(Json)
}
