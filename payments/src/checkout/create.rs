//! `POST /v1/checkout/sessions`: the session and its intent, in one transaction.

use axum::response::Response;
use serde_json::json;
use store::{Tx, params};

use super::{Details, Session, answer, line_items};
use crate::app::{App, Owner};
use crate::customers::Customer;
use crate::error::{Error, Refusal};
use crate::http::call::Call;
use crate::http::expand::Expand;
use crate::http::idempotency;
use crate::http::params::{Params, merge_metadata};
use crate::intents::create::{only_cards, take_details};
use crate::intents::options::USAGES;
use crate::intents::{self, Intent};
use crate::setup_intents::{self, SetupIntent};

/// How long a session is open when nothing else is said, and at least and at most, seconds.
const OPEN: i64 = 30 * 60;
const LONGEST: i64 = 24 * 60 * 60;
/// The caller's clock, and the way here, may take a moment off the shortest time.
const LEEWAY: i64 = 60;

/// `POST /v1/checkout/sessions`
pub async fn route(call: Call) -> Response {
    let prefix = if call.owner.livemode {
        "cs_live"
    } else {
        "cs_test"
    };
    idempotency::run(call, prefix, |mut call, id| async move {
        let app = call.app.clone();
        let Wanted {
            session,
            intent,
            expand,
        } = Wanted::parse(&mut call.params, &app, &call.owner, &id)?;
        call.params.finish()?;
        let (owner, origin) = (call.owner, call.origin);
        let shared = app.clone();
        let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
            if let Some(customer) = &session.customer {
                Customer::named(tx, &session.owner, customer)?;
            }
            match &intent {
                Kind::Payment(intent) => {
                    intents::create::insert(tx, &shared.seal, intent, &origin)?;
                }
                Kind::Setup(intent) => {
                    setup_intents::create::insert(tx, &shared.seal, intent, &origin)?;
                }
            }
            insert(tx, &session)
        };
        app.store.write(write).await?;
        app.deliver.notify_one();
        answer(&app, owner, id, expand).await
    })
    .await
}

enum Kind {
    Payment(Box<Intent>),
    Setup(Box<SetupIntent>),
}

struct Wanted {
    session: Session,
    intent: Kind,
    expand: Expand,
}

impl Wanted {
    fn parse(params: &mut Params, app: &App, owner: &Owner, id: &str) -> Result<Self, Error> {
        let page = app.checkout.as_ref();
        if page.and_then(|page| page.merchant(owner)).is_none() {
            let message = "The hosted page is not set up for this account: its operator names it in the checkout file.";
            return Err(Refusal::plain(message).into());
        }
        let now_ms = app.clock.now_ms();
        let mode = params
            .one_of("mode", &["payment", "setup"])?
            .ok_or_else(|| params.missing("mode"))?;
        params.one_of("ui_mode", &["hosted"])?;
        only_cards(params)?;
        let expires_at = expires_at(params, now_ms.div_euclid(1000))?;
        let customer = params.text("customer", 100)?;
        let mut details = take_words(params, owner.livemode)?;
        if customer.is_some() && details.customer_email.is_some() {
            let message = "You may only specify one of these parameters: customer, customer_email.";
            return Err(Refusal::plain(message).param("customer_email").into());
        }
        let stem = id.rsplit('_').next().unwrap_or_default();
        let mut session = Session {
            id: id.to_owned(),
            owner: owner.clone(),
            created_ms: now_ms,
            mode: mode.into(),
            status: "open".into(),
            expires_at,
            intent: String::new(),
            customer: customer.clone(),
            amount: None,
            currency: None,
            details: Details::default(),
            paid: None,
        };
        let intent = if mode == "payment" {
            let (lines, amount, currency) = line_items::take(params, id)?;
            details.line_items = lines;
            let mut intent = Intent::open(format!("pi_{stem}"), owner, now_ms, amount, &currency);
            intent.details.checkout_session = Some(id.to_owned());
            intent.details.receipt_email = details.customer_email.clone();
            intent.customer = customer;
            take_intent(params, &mut intent)?;
            (session.amount, session.currency) = (Some(amount), Some(currency));
            session.intent = intent.id.clone();
            Kind::Payment(Box::new(intent))
        } else {
            if params.has("line_items") || params.has("payment_intent_data") {
                let message = "line_items and payment_intent_data cannot be sent in setup mode.";
                return Err(Refusal::plain(message).param("mode").into());
            }
            // Stripe wants it for methods other than cards.
            params.text("currency", 10)?;
            let mut intent = SetupIntent::open(format!("seti_{stem}"), owner, now_ms, customer);
            intent.details.checkout_session = Some(id.to_owned());
            if let Some(mut data) = params.hash("setup_intent_data")? {
                intent.details.description = data.text("description", 1_000)?;
                merge_metadata(&mut intent.details.metadata, data.metadata()?)?;
                data.finish()?;
            }
            session.intent = intent.id.clone();
            Kind::Setup(Box::new(intent))
        };
        session.details = details;
        Ok(Self {
            session,
            intent,
            expand: Expand::parse(params)?,
        })
    }
}

fn expires_at(params: &mut Params, now: i64) -> Result<i64, Error> {
    let at = params.integer("expires_at")?.unwrap_or(now + OPEN);
    if (now + OPEN - LEEWAY..=now + LONGEST).contains(&at) {
        return Ok(at);
    }
    let message = "Invalid expires_at: must be 30 minutes to 24 hours from now.";
    let refusal = Refusal::new("parameter_invalid_integer", message);
    Err(refusal.param("expires_at").into())
}

fn take_words(params: &mut Params, livemode: bool) -> Result<Details, Error> {
    let email = params.text("customer_email", 500)?;
    if email.as_ref().is_some_and(|email| !email.contains('@')) {
        let refusal = Refusal::new("email_invalid", "Invalid email address.");
        return Err(refusal.param("customer_email").into());
    }
    params.one_of("customer_creation", &["if_required"])?;
    params.one_of("billing_address_collection", &["auto"])?;
    let mut details = Details {
        client_reference_id: params.text("client_reference_id", 200)?,
        customer_email: email,
        success_url: params.required("success_url", 2_048)?,
        cancel_url: params.text("cancel_url", 2_048)?,
        locale: params.text("locale", 20)?,
        submit_type: params
            .one_of("submit_type", &["auto", "book", "donate", "pay"])?
            .map(str::to_owned),
        ..Details::default()
    };
    let urls = [
        ("success_url", Some(&details.success_url)),
        ("cancel_url", details.cancel_url.as_ref()),
    ];
    for (name, url) in urls {
        if url.is_some_and(|url| !is_page(url, livemode)) {
            let message = format!(
                "Invalid {name}: must be an absolute {} URL.",
                if livemode { "https" } else { "http or https" }
            );
            return Err(Refusal::new("url_invalid", message).param(name).into());
        }
    }
    merge_metadata(&mut details.metadata, params.metadata()?)?;
    Ok(details)
}

// The buyer's browser is sent there: nothing but a page of the web.
fn is_page(url: &str, livemode: bool) -> bool {
    let parsed: Option<http::Uri> = url.replace(['{', '}'], "_").parse().ok();
    let scheme = parsed.as_ref().and_then(http::Uri::scheme_str);
    let host = parsed.as_ref().and_then(http::Uri::host);
    let plain = url.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
    let web = scheme == Some("https") || (scheme == Some("http") && !livemode);
    web && plain && host.is_some_and(|host| !host.is_empty())
}

fn take_intent(params: &mut Params, intent: &mut Intent) -> Result<(), Error> {
    let Some(mut data) = params.hash("payment_intent_data")? else {
        return Ok(());
    };
    let capture = data.one_of(
        "capture_method",
        &["automatic", "automatic_async", "manual"],
    )?;
    if capture == Some("manual") {
        intent.capture_method = "manual".into();
    }
    if let Some(usage) = data.one_of("setup_future_usage", USAGES)? {
        intent.details.setup_future_usage = Some(usage.into());
    }
    take_details(&mut data, &mut intent.details)?;
    data.finish()
}

// The same id twice is once: a resumed call finds its row.
fn insert(tx: &mut Tx<'_>, session: &Session) -> Result<(), Error> {
    tx.execute(
        "insert into checkout_sessions (id, merchant, livemode, created_ms, mode, status, expires_at, intent, customer,
             amount, currency, details)
         values ($1, $2, $3, $4, $5, 'open', $6, $7, $8, $9, $10, $11) on conflict do nothing",
        params![
            &session.id,
            &session.owner.merchant,
            session.owner.livemode,
            session.created_ms,
            &session.mode,
            session.expires_at,
            &session.intent,
            session.customer.clone(),
            session.amount,
            session.currency.clone(),
            json!(session.details).to_string(),
        ],
    )?;
    Ok(())
}
