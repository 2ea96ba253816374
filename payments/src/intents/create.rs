//! `POST /v1/payment_intents`, with or without `confirm`.

use axum::response::Response;
use serde_json::{Value, json};
use store::{Tx, params};

use super::confirm::{self, Confirm, Reply, Source};
use super::options::{Options, USAGES};
use super::{Details, Intent};
use crate::app::{Origin, Owner};
use crate::currency;
use crate::customers::Customer;
use crate::error::{Error, Refusal};
use crate::events;
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::made::Made;
use crate::http::params::{Params, merge_metadata};
use crate::payment_methods::PaymentMethod;
use crate::seal::Seal;

/// `POST /v1/payment_intents`
pub async fn create(call: Call) -> Response {
    idempotency::run_claiming(call, "pi", |mut call, subject| async move {
        let id = subject.id.clone();
        let wanted = Wanted::parse(&mut call.params)?;
        call.params.finish()?;
        let Call {
            app,
            owner,
            origin,
            prefers_async,
            ..
        } = call;
        let now_ms = app.clock.now_ms();
        let mut intent = wanted.intent(id.clone(), &owner, now_ms);
        let method = match (&wanted.source, wanted.confirm) {
            // A confirm stores the payment method itself.
            (Some(Source::Token(token)), false) => {
                let method =
                    PaymentMethod::new(&app.seal, &owner, confirm::method_id(&id), now_ms, token);
                Some(method)
            }
            _ => None,
        };
        if let Some(Source::Existing(method)) = &wanted.source {
            intent.payment_method = Some(method.clone());
        }
        if let Some(method) = &method {
            intent.payment_method = Some(method.id.clone());
        }
        if intent.payment_method.is_some() {
            intent.status = "requires_confirmation".into();
        }
        let (shared, origin_of_event) = (app.clone(), origin.clone());
        let (claim, expand) = (subject.clone(), wanted.expand.clone());
        let is_all = !wanted.confirm;
        let write = move |tx: &mut Tx<'_>| -> Result<Option<Made>, Error> {
            claim.claim(tx, shared.clock.now())?;
            if let Some(customer) = &intent.customer {
                Customer::named(tx, &intent.owner, customer)?;
            }
            if let Some(method) = &method {
                method.insert(tx)?;
            } else if let Some(id) = &intent.payment_method {
                confirm::usable(tx, &intent.owner, id, intent.customer.as_deref())?;
            }
            insert(tx, &shared.seal, &intent, &origin_of_event)?;
            if !(is_all && claim.is_fresh) {
                return Ok(None);
            }
            let object = intent.object(&shared.seal);
            let answer = Ok(expand.apply(tx, &shared, &intent.owner, object)?.into());
            claim.keep(tx, &shared, &answer)?;
            answer.map(Some)
        };
        let answer = app.store.write(write).await?;
        subject.has_claimed();
        app.deliver.notify_one();
        if let Some(answer) = answer {
            subject.has_kept();
            return Ok(answer);
        }
        if !wanted.confirm {
            let shown = confirm::answer(&app, owner, id, wanted.expand).await;
            return shown.map(Made::from);
        }
        let confirm = Confirm {
            owner,
            origin,
            intent: id,
            confirmation: subject,
            source: wanted.source,
            // The row has them already, but for what is of a confirmation alone.
            options: wanted.options,
            reply: Reply {
                expand: wanted.expand,
                browser: false,
                early: prefers_async,
            },
        };
        confirm::finish(&app, &confirm).await
    })
    .await
}

/// What the call asks for.
struct Wanted {
    amount: i64,
    currency: String,
    manual: bool,
    confirm: bool,
    source: Option<Source>,
    customer: Option<String>,
    details: Details,
    options: Options,
    expand: Expand,
}

impl Wanted {
    fn parse(params: &mut Params) -> Result<Self, Error> {
        let amount = currency::amount(params, "amount")?.ok_or_else(|| params.missing("amount"))?;
        let currency = currency::currency(params)?;
        let method = params.one_of(
            "capture_method",
            &["automatic", "automatic_async", "manual"],
        )?;
        let confirm = params.boolean("confirm")?.unwrap_or(false);
        params.one_of("confirmation_method", &["automatic"])?;
        let source = Source::take(params)?;
        let mut details = Details {
            payment_method_types: vec!["card".into()],
            ..Details::default()
        };
        take_details(params, &mut details)?;
        details.automatic_payment_methods = automatic_payment_methods(params)?;
        if !confirm {
            refuse_without_confirm(params, &["off_session", "return_url"])?;
        }
        let mut options = Options::take(params)?;
        if !confirm {
            options = options.without_confirm()?;
        }
        options.apply(&mut details);
        Ok(Self {
            customer: params.text("customer", 100)?,
            amount,
            currency,
            manual: method == Some("manual"),
            confirm,
            source,
            details,
            options,
            expand: Expand::parse(params)?,
        })
    }

    fn intent(&self, id: String, owner: &Owner, created_ms: i64) -> Intent {
        let mut intent = Intent::open(id, owner, created_ms, self.amount, &self.currency);
        if self.manual {
            intent.capture_method = "manual".into();
        }
        intent.details = self.details.clone();
        intent.customer = self.customer.clone();
        intent
    }
}

/// Takes what is only kept and shown; used by updates too.
pub fn take_details(params: &mut Params, details: &mut Details) -> Result<(), Error> {
    let email = params.clearable("receipt_email", 500)?;
    for (name, most, field) in [
        ("description", 1_000, &mut details.description),
        (
            "statement_descriptor",
            22,
            &mut details.statement_descriptor,
        ),
        (
            "statement_descriptor_suffix",
            22,
            &mut details.statement_descriptor_suffix,
        ),
    ] {
        if let Some(value) = params.clearable(name, most)? {
            *field = value;
        }
    }
    if let Some(email) = email {
        if email.as_ref().is_some_and(|email| !email.contains('@')) {
            return Err(Refusal::new("email_invalid", "Invalid email address.")
                .param("receipt_email")
                .into());
        }
        details.receipt_email = email;
    }
    if let Some(usage) = params.one_of("setup_future_usage", USAGES)? {
        details.setup_future_usage = Some(usage.into());
    }
    only_cards(params)?;
    merge_metadata(&mut details.metadata, params.metadata()?)
}

/// Takes `payment_method_types`, which are cards.
pub fn only_cards(params: &mut Params) -> Result<(), Error> {
    let types = params.list("payment_method_types", 50)?;
    if types.is_none_or(|types| types == ["card"]) {
        return Ok(());
    }
    let message = "Only the payment method type card is available here.";
    let name = params.name_of("payment_method_types");
    Err(Refusal::plain(message).param(name).into())
}

/// Takes `automatic_payment_methods`.
pub fn automatic_payment_methods(params: &mut Params) -> Result<Option<Value>, Error> {
    let Some(mut hash) = params.hash("automatic_payment_methods")? else {
        return Ok(None);
    };
    let enabled = hash
        .boolean("enabled")?
        .ok_or_else(|| hash.missing("enabled"))?;
    let redirects = hash
        .one_of("allow_redirects", &["always", "never"])?
        .unwrap_or("always");
    hash.finish()?;
    Ok(enabled.then(|| json!({ "enabled": true, "allow_redirects": redirects })))
}

// Stripe's rule: these belong to a confirmation.
fn refuse_without_confirm(params: &mut Params, names: &[&str]) -> Result<(), Error> {
    for name in names {
        if params.text(name, 2_048)?.is_some() {
            let message = format!(
                "The parameter {name} cannot be passed when creating a PaymentIntent unless confirm is set to true."
            );
            return Err(Refusal::plain(message).param(*name).into());
        }
    }
    Ok(())
}

/// Stores it; the same id twice is once: a resumed call finds its row.
pub fn insert(tx: &mut Tx<'_>, seal: &Seal, intent: &Intent, origin: &Origin) -> Result<(), Error> {
    let inserted = tx.execute(
        "insert into payment_intents (id, merchant, livemode, created_ms, amount, currency, status, capture_method,
             payment_method, details, customer)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict do nothing",
        params![
            &intent.id,
            &intent.owner.merchant,
            intent.owner.livemode,
            intent.created_ms,
            intent.amount,
            &intent.currency,
            &intent.status,
            &intent.capture_method,
            intent.payment_method.clone(),
            json!(intent.details).to_string(),
            intent.customer.clone(),
        ],
    )?;
    if inserted == 1 {
        let object = intent.object(seal);
        events::emit(
            tx,
            &intent.owner,
            "payment_intent.created",
            object,
            origin,
            intent.created_ms,
        )?;
    }
    Ok(())
}
