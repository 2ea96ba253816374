//! Checkout Sessions: Stripe's hosted page. A session owns one intent, is open for so long, and is completed in the
//! transaction in which its intent succeeds. Read next: [`create`], [`lifecycle`], [`page`].

pub mod config;
pub mod create;
pub mod lifecycle;
pub mod line_items;
pub mod page;
pub mod routes;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Row, Tx, params};

use crate::app::{App, Owner, Shared};
use crate::error::{Error, Refusal};
use crate::http::pages::Listed;
use crate::http::params::{Metadata, from_column};
use line_items::LineItem;

/// The table, as lists see it: the session, and how its payment stands.
pub const LISTED: Listed = Listed {
    table: "checkout_sessions",
    columns: "id, merchant, livemode, created_ms, mode, status, expires_at, intent, customer, amount, currency, details, \
              (select i.status from payment_intents i where i.id = checkout_sessions.intent)",
};

/// A session.
#[derive(Debug, Clone)]
pub struct Session {
    pub id: String,
    pub owner: Owner,
    pub created_ms: i64,
    /// `payment` or `setup`.
    pub mode: String,
    pub status: String,
    /// Unix seconds.
    pub expires_at: i64,
    /// The payment intent's or the setup intent's id.
    pub intent: String,
    pub customer: Option<String>,
    /// None in setup mode.
    pub amount: Option<i64>,
    pub currency: Option<String>,
    pub details: Details,
    /// The payment intent's status.
    paid: Option<String>,
}

/// What is only kept and shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    pub line_items: Vec<LineItem>,
    pub metadata: Metadata,
    pub client_reference_id: Option<String>,
    pub customer_email: Option<String>,
    pub success_url: String,
    pub cancel_url: Option<String>,
    pub locale: Option<String>,
    pub submit_type: Option<String>,
}

impl Session {
    /// From a row of [`LISTED`]'s columns.
    pub fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get(0)?,
            owner: Owner {
                merchant: row.get(1)?,
                livemode: row.get(2)?,
            },
            created_ms: row.get(3)?,
            mode: row.get(4)?,
            status: row.get(5)?,
            expires_at: row.get(6)?,
            intent: row.get(7)?,
            customer: row.get(8)?,
            amount: row.get(9)?,
            currency: row.get(10)?,
            details: from_column(&row.get::<String>(11)?)?,
            paid: row.get(12)?,
        })
    }

    fn by(tx: &mut Tx<'_>, column: &str, value: &str) -> Result<Option<Self>, Error> {
        let sql = format!(
            "select {} from checkout_sessions where {column} = $1",
            LISTED.columns
        );
        let row = tx.first(&sql, params![value])?;
        row.as_ref().map(Self::from_row).transpose()
    }

    /// The session with this id, whoever's it is: for its page, whose address is known to the buyer alone.
    pub fn by_id(tx: &mut Tx<'_>, id: &str) -> Result<Option<Self>, Error> {
        Self::by(tx, "id", id)
    }

    /// The merchant's session that a path names.
    pub fn load(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Self, Error> {
        let found = Self::by_id(tx, id)?.filter(|session| session.owner == *owner);
        found.ok_or_else(|| {
            Refusal::no_such("checkout.session")
                .param("session")
                .not_found()
                .into()
        })
    }

    /// Whether it can be paid now.
    pub fn is_open(&self, now: i64) -> bool {
        self.status == "open" && now < self.expires_at
    }

    /// `paid`, `unpaid` or `no_payment_required`.
    pub fn payment_status(&self) -> &'static str {
        match (self.mode.as_str(), self.paid.as_deref()) {
            ("setup", _) => "no_payment_required",
            (_, Some("succeeded")) => "paid",
            _ => "unpaid",
        }
    }

    /// Where the buyer goes when all is done.
    pub fn success_url(&self) -> String {
        self.details
            .success_url
            .replace("{CHECKOUT_SESSION_ID}", &self.id)
    }

    /// The Session object.
    pub fn object(&self, app: &Shared) -> Value {
        let details = &self.details;
        let setup = self.mode == "setup";
        let open = self.status == "open";
        let url = app.checkout.as_ref().filter(|_| open);
        let email = details.customer_email.as_ref();
        json!({
            "id": self.id,
            "object": "checkout.session",
            "adaptive_pricing": null,
            "after_expiration": null,
            "allow_promotion_codes": null,
            "amount_subtotal": self.amount,
            "amount_total": self.amount,
            "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
            "billing_address_collection": null,
            "cancel_url": details.cancel_url,
            "client_reference_id": details.client_reference_id,
            "client_secret": null,
            "collected_information": null,
            "consent": null,
            "consent_collection": null,
            "created": self.created_ms.div_euclid(1000),
            "currency": self.currency,
            "currency_conversion": null,
            "custom_fields": [],
            "custom_text": { "after_submit": null, "shipping_address": null, "submit": null,
                             "terms_of_service_acceptance": null },
            "customer": self.customer,
            "customer_creation": if setup { None } else { Some("if_required") },
            "customer_details": email.map(|email| json!({ "email": email, "address": null, "name": null,
                "phone": null, "tax_exempt": "none", "tax_ids": [] })),
            "customer_email": email,
            "discounts": [],
            "expires_at": self.expires_at,
            "invoice": null,
            "invoice_creation": null,
            "livemode": self.owner.livemode,
            "locale": details.locale,
            "metadata": details.metadata,
            "mode": self.mode,
            "payment_intent": if setup { None } else { Some(&self.intent) },
            "payment_link": null,
            "payment_method_collection": "if_required",
            "payment_method_configuration_details": null,
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "payment_status": self.payment_status(),
            "phone_number_collection": { "enabled": false },
            "recovered_from": null,
            "setup_intent": if setup { Some(&self.intent) } else { None },
            "shipping_address_collection": null,
            "shipping_cost": null,
            "shipping_options": [],
            "status": self.status,
            "submit_type": details.submit_type,
            "subscription": null,
            "success_url": details.success_url,
            "total_details": { "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 },
            "ui_mode": "hosted",
            "url": url.map(|checkout| format!("{}/c/pay/{}", checkout.public_url, self.id)),
            "wallet_options": null,
        })
    }
}

/// The session as it is now.
pub async fn answer(
    app: &App,
    owner: Owner,
    id: String,
    mut expand: crate::http::expand::Expand,
) -> Result<Value, Error> {
    let shared = app.clone();
    let read = move |tx: &mut Tx<'_>| {
        let session = Session::load(tx, &owner, &id)?;
        let mut object = session.object(&shared);
        if expand.takes("line_items") {
            object["line_items"] = session.line_items();
        }
        expand.apply(tx, &shared, &owner, object)
    };
    app.store.read(read).await
}
