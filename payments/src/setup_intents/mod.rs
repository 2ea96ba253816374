//! Setup intents: a card is kept for later without being charged. Read next: [`create`], [`confirm`].
//!
//! Stripe's six statuses; `requires_action` and `processing` come with 3-D Secure: a card that is kept for later is
//! authenticated when there is somebody in front of it, that is, with a `return_url` or a library in the page. Keeping a card is one exchange at
//! the vault, which gives the same stored card however often it is asked, so that an interrupted confirmation is
//! simply confirmed again.

pub mod confirm;
pub mod create;

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Row, Tx, params};

use crate::app::{App, Origin, Owner};
use crate::checkout::lifecycle;
use crate::error::{Error, Refusal};
use crate::events;
use crate::http::browser;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::pages::{ListRoute, Listed};
use crate::http::params::{Metadata, from_column};
use crate::intents::object::client_secret;
use crate::payment_methods::forget_token;
use crate::seal::Seal;
use crate::three_ds;

const LISTED: Listed = Listed {
    table: "setup_intents",
    columns: "id, merchant, livemode, created_ms, status, customer, payment_method, last_setup_error, \
              cancellation_reason, moved_by, details, next_action",
};

const REASONS: &[&str] = &["abandoned", "duplicate", "requested_by_customer"];

/// A setup intent.
#[derive(Debug, Clone)]
pub struct SetupIntent {
    pub id: String,
    pub owner: Owner,
    pub created_ms: i64,
    pub status: String,
    pub customer: Option<String>,
    pub payment_method: Option<String>,
    pub last_setup_error: Option<Value>,
    pub cancellation_reason: Option<String>,
    /// The call that moved it last.
    pub moved_by: Option<String>,
    pub details: Details,
    /// Stripe's object, while the buyer has something to do.
    pub next_action: Option<Value>,
}

/// What is only kept and shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    pub description: Option<String>,
    pub metadata: Metadata,
    pub usage: String,
    pub automatic_payment_methods: Option<Value>,
    /// When the buyer is authenticated: automatic (when there is somebody who can be), any, challenge.
    pub request_three_d_secure: Option<String>,
    /// The Checkout Session that it belongs to.
    pub checkout_session: Option<String>,
}

impl SetupIntent {
    /// A new one that waits for a payment method, for use without the buyer.
    pub fn open(id: String, owner: &Owner, created_ms: i64, customer: Option<String>) -> Self {
        Self {
            id,
            owner: owner.clone(),
            created_ms,
            status: "requires_payment_method".into(),
            customer,
            payment_method: None,
            last_setup_error: None,
            cancellation_reason: None,
            moved_by: None,
            next_action: None,
            details: Details {
                usage: "off_session".into(),
                ..Details::default()
            },
        }
    }

    fn from_row(row: &Row) -> Result<Self, Error> {
        let error: Option<String> = row.get(7)?;
        let next_action: Option<String> = row.get(11)?;
        Ok(Self {
            id: row.get(0)?,
            owner: Owner {
                merchant: row.get(1)?,
                livemode: row.get(2)?,
            },
            created_ms: row.get(3)?,
            status: row.get(4)?,
            customer: row.get(5)?,
            payment_method: row.get(6)?,
            last_setup_error: error.as_deref().map(from_column).transpose()?,
            cancellation_reason: row.get(8)?,
            moved_by: row.get(9)?,
            details: from_column(&row.get::<String>(10)?)?,
            next_action: next_action.as_deref().map(from_column).transpose()?,
        })
    }

    /// The merchant's setup intent with this id, if there is one.
    pub fn find(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Option<Self>, Error> {
        let row = LISTED.row(tx, owner, id)?;
        row.as_ref().map(Self::from_row).transpose()
    }

    /// The merchant's setup intent that a path names.
    pub fn load(tx: &mut Tx<'_>, owner: &Owner, id: &str) -> Result<Self, Error> {
        let found = Self::find(tx, owner, id)?;
        found.ok_or_else(|| {
            let refusal = Refusal::no_such("setupintent");
            refusal.param("intent").not_found().into()
        })
    }

    /// Ends what the buyer was asked to do: the setup intent waits for a confirmation again.
    pub fn reopen(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        three_ds::record::abandon(tx, &self.id)?;
        let moved = tx.execute(
            "update setup_intents set status = 'requires_confirmation', next_action = null
             where id = $1 and status = 'requires_action'",
            params![&self.id],
        )?;
        if moved == 1 {
            self.status = "requires_confirmation".into();
            self.next_action = None;
        }
        Ok(())
    }

    /// The refusal of what this setup intent's state does not allow.
    pub fn unexpected_state(&self, seal: &Seal, verb: &str) -> Error {
        let message = format!(
            "You cannot {verb} this SetupIntent because it has a status of {}.",
            self.status
        );
        Refusal::new("setup_intent_unexpected_state", message)
            .intent(self.object(seal))
            .into()
    }

    /// The SetupIntent object.
    pub fn object(&self, seal: &Seal) -> Value {
        let details = &self.details;
        json!({
            "id": self.id,
            "object": "setup_intent",
            "application": null,
            "automatic_payment_methods": details.automatic_payment_methods,
            "cancellation_reason": self.cancellation_reason,
            "client_secret": client_secret(seal, &self.id),
            "created": self.created_ms.div_euclid(1000),
            "customer": self.customer,
            "customer_account": null,
            "description": details.description,
            "excluded_payment_method_types": null,
            "flow_directions": null,
            "last_setup_error": self.last_setup_error,
            "latest_attempt": null,
            "livemode": self.owner.livemode,
            "mandate": null,
            "metadata": details.metadata,
            "next_action": self.next_action,
            "on_behalf_of": null,
            "payment_method": self.payment_method,
            "payment_method_configuration_details": null,
            "payment_method_options": { "card": {
                "mandate_options": null, "network": null,
                "request_three_d_secure": details.request_three_d_secure.as_deref().unwrap_or("automatic"),
            } },
            "payment_method_types": ["card"],
            "single_use_mandate": null,
            "status": self.status,
            "usage": details.usage,
        })
    }
}

fn emit(
    tx: &mut Tx<'_>,
    seal: &Seal,
    owner: &Owner,
    id: &str,
    kind: &str,
    origin: &Origin,
    now_ms: i64,
) -> Result<(), Error> {
    let object = SetupIntent::load(tx, owner, id)?.object(seal);
    events::emit(tx, owner, kind, object, origin, now_ms)
}

async fn answer(app: &App, owner: Owner, id: String, expand: Expand) -> Result<Value, Error> {
    let shared = app.clone();
    let read = move |tx: &mut Tx<'_>| {
        let intent = SetupIntent::load(tx, &owner, &id)?;
        expand.apply(tx, &shared, &owner, intent.object(&shared.seal))
    };
    app.store.read(read).await
}

/// `GET /v1/setup_intents/{id}`
pub async fn retrieve(Path(id): Path<String>, mut call: Call) -> Result<Json<Value>, Error> {
    let expand = Expand::parse(&mut call.params)?;
    call.params.finish()?;
    let intent = answer(&call.app, call.owner, id, expand).await?;
    Ok(Json(if call.browser {
        browser::reduce(intent)
    } else {
        intent
    }))
}

/// `GET /v1/setup_intents`
pub async fn list(call: Call) -> Result<Json<Value>, Error> {
    LIST.answer(call).await
}

static LIST: ListRoute = ListRoute {
    url: "/v1/setup_intents",
    table: &LISTED,
    filters: &[
        ("customer", "customer"),
        ("payment_method", "payment_method"),
    ],
    object: |row, app| Ok(SetupIntent::from_row(row)?.object(&app.seal)),
};

/// `POST /v1/setup_intents/{id}/cancel`
pub async fn cancel(Path(id): Path<String>, call: Call) -> Response {
    idempotency::run(call, "void", |mut call, subject| async move {
        let reason = call.params.one_of("cancellation_reason", REASONS)?;
        let expand = Expand::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let (shared, write_owner, write_id) = (app.clone(), owner.clone(), id.clone());
        let now_ms = app.clock.now_ms();
        let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            let before = SetupIntent::load(tx, &write_owner, &write_id)?;
            if before.moved_by.as_deref() == Some(&*subject) {
                return Ok(());
            }
            lifecycle::refuse_alone(before.details.checkout_session.as_deref())?;
            let moved = tx.execute(
                "update setup_intents set status = 'canceled', cancellation_reason = $2, moved_by = $3,
                     next_action = null
                 where id = $1 and status in ('requires_payment_method', 'requires_confirmation', 'requires_action')",
                params![&write_id, reason.map(str::to_owned), &subject],
            )?;
            if moved == 0 {
                return Err(before.unexpected_state(&shared.seal, "cancel"));
            }
            three_ds::record::abandon(tx, &write_id)?;
            if let Some(method) = &before.payment_method {
                forget_token(tx, method)?;
            }
            let kind = "setup_intent.canceled";
            emit(tx, &shared.seal, &write_owner, &write_id, kind, &origin, now_ms)
        };
        app.store.write(write).await?;
        app.deliver.notify_one();
        answer(&app, owner, id, expand).await
    })
    .await
}
