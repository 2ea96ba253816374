//! `POST /v1/setup_intents`, with or without `confirm`.

use axum::response::Response;
use serde_json::json;
use store::{Tx, params};

use super::confirm::{self, Buyer, Confirm};
use super::{Details, SetupIntent, answer, emit};
use crate::app::{Origin, Owner};
use crate::customers::Customer;
use crate::error::{Error, Refusal};
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::params::{Params, merge_metadata};
use crate::intents::confirm::{Source, method_id, usable};
use crate::intents::create::{automatic_payment_methods, only_cards};
use crate::intents::options::USAGES;
use crate::payment_methods::PaymentMethod;
use crate::seal::Seal;
use crate::three_ds;

/// What the call asks for.
struct Wanted {
    customer: Option<String>,
    confirm: bool,
    source: Option<Source>,
    details: Details,
    expand: Expand,
    buyer: Buyer,
}

impl Wanted {
    fn parse(params: &mut Params) -> Result<Self, Error> {
        let confirm = params.boolean("confirm")?.unwrap_or(false);
        let return_url = params.text("return_url", 2_048)?;
        if return_url.is_some() && !confirm {
            let message = "The parameter return_url cannot be passed when creating a SetupIntent unless confirm is \
                           set to true.";
            return Err(Refusal::plain(message).param("return_url").into());
        }
        let in_page = params.boolean("use_stripe_sdk")? == Some(true);
        let request_three_d_secure = three_ds::request(params)?;
        only_cards(params)?;
        let mut details = Details {
            description: params.text("description", 1_000)?,
            usage: params
                .one_of("usage", USAGES)?
                .unwrap_or("off_session")
                .into(),
            automatic_payment_methods: automatic_payment_methods(params)?,
            request_three_d_secure: request_three_d_secure.map(str::to_owned),
            ..Details::default()
        };
        merge_metadata(&mut details.metadata, params.metadata()?)?;
        Ok(Self {
            customer: params.text("customer", 100)?,
            confirm,
            source: Source::take(params)?,
            details,
            expand: Expand::parse(params)?,
            buyer: Buyer {
                return_url,
                in_page,
            },
        })
    }

    fn intent(&self, id: String, owner: &Owner, created_ms: i64) -> SetupIntent {
        SetupIntent {
            details: self.details.clone(),
            ..SetupIntent::open(id, owner, created_ms, self.customer.clone())
        }
    }
}

/// `POST /v1/setup_intents`
pub async fn create(call: Call) -> Response {
    idempotency::run(call, "seti", |mut call, id| async move {
        let wanted = Wanted::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app, owner, origin, ..
        } = call;
        let now_ms = app.clock.now_ms();
        let mut intent = wanted.intent(id.clone(), &owner, now_ms);
        let fresh = match (&wanted.source, wanted.confirm) {
            // A confirm stores the payment method itself.
            (Some(Source::Token(token)), false) => {
                let method = method_id(&id);
                Some(PaymentMethod::new(&app.seal, &owner, method, now_ms, token))
            }
            _ => None,
        };
        intent.payment_method = match &wanted.source {
            Some(Source::Existing(id)) => Some(id.clone()),
            _ => fresh.as_ref().map(|method| method.id.clone()),
        };
        if intent.payment_method.is_some() {
            intent.status = "requires_confirmation".into();
        }
        let (shared, caused) = (app.clone(), origin.clone());
        let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            if let Some(customer) = &intent.customer {
                Customer::named(tx, &intent.owner, customer)?;
            }
            if let Some(fresh) = &fresh {
                fresh.insert(tx)?;
            } else if let Some(id) = &intent.payment_method {
                usable(tx, &intent.owner, id, intent.customer.as_deref())?;
            }
            insert(tx, &shared.seal, &intent, &caused)
        };
        app.store.write(write).await?;
        app.deliver.notify_one();
        if wanted.confirm {
            let confirm = Confirm {
                owner: owner.clone(),
                origin,
                intent: id.clone(),
                subject: id.clone(),
                source: wanted.source,
                buyer: wanted.buyer,
                request: None,
            };
            confirm::confirm(&app, confirm).await?;
        }
        answer(&app, owner, id, wanted.expand).await
    })
    .await
}

/// Stores it; the same id twice is once: a resumed call finds its row.
pub fn insert(
    tx: &mut Tx<'_>,
    seal: &Seal,
    intent: &SetupIntent,
    origin: &Origin,
) -> Result<(), Error> {
    let inserted = tx.execute(
        "insert into setup_intents (id, merchant, livemode, created_ms, status, customer, payment_method, details)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
        params![
            &intent.id,
            &intent.owner.merchant,
            intent.owner.livemode,
            intent.created_ms,
            &intent.status,
            intent.customer.clone(),
            intent.payment_method.clone(),
            json!(intent.details).to_string(),
        ],
    )?;
    if inserted == 1 {
        let (owner, kind) = (&intent.owner, "setup_intent.created");
        emit(tx, seal, owner, &intent.id, kind, origin, intent.created_ms)?;
    }
    Ok(())
}
