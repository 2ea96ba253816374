//! `payments trigger`: makes an event happen by the API calls that lead to it, on a running API, in test mode. What
//! comes of it is real: objects, money at the simulator, and deliveries.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::{Value, json};
use service::Client;

use crate::cli::Trigger;
use crate::config::secret_from_file;

/// An event, and the scene that leads to it.
type Scene = (&'static str, &'static [Step]);

/// One call. `{name}` in a path or value is what an earlier step kept under that name; `{card}` is the card. A GET waits until
/// its list has something, and keeps the first of it. What is to be answered 202 says so.
struct Step {
    path: &'static str,
    form: &'static [(&'static str, &'static str)],
    /// The name that the answer's id is kept under; also kept are its intent and its payment method.
    keep: &'static str,
    /// The published test card; a decline is what is wanted when the call is to be answered 402.
    card: &'static str,
    status: u16,
}

const fn step(
    path: &'static str,
    keep: &'static str,
    form: &'static [(&'static str, &'static str)],
) -> Step {
    Step {
        path,
        form,
        keep,
        card: "pm_card_visa",
        status: 200,
    }
}

const AMOUNT: (&str, &str) = ("amount", "2000");
const CURRENCY: (&str, &str) = ("currency", "usd");
const NAME: (&str, &str) = ("description", "(made by payments trigger)");
const CARD: (&str, &str) = ("payment_method", "{card}");
const CONFIRM: (&str, &str) = ("confirm", "true");

const fn with_card(card: &'static str, step: Step) -> Step {
    Step { card, ..step }
}

const CREATE: Step = step("/v1/payment_intents", "intent", &[AMOUNT, CURRENCY, NAME]);
const PAY: Step = step(
    "/v1/payment_intents",
    "intent",
    &[AMOUNT, CURRENCY, NAME, CARD, CONFIRM],
);
const HOLD: Step = step(
    "/v1/payment_intents",
    "intent",
    &[
        AMOUNT,
        CURRENCY,
        NAME,
        CARD,
        CONFIRM,
        ("capture_method", "manual"),
    ],
);
const DECLINE: Step = Step {
    status: 402,
    ..with_card("pm_card_chargeDeclined", PAY)
};
const QUEUE: Step = Step { status: 202, ..PAY };
const DISPUTED: Step = with_card("pm_card_createDispute", PAY);
const DISPUTE: Step = step("GET /v1/disputes?payment_intent={intent}", "dispute", &[]);
const ANSWER_DISPUTE: Step = step(
    "/v1/disputes/{dispute}",
    "",
    &[("evidence[uncategorized_text]", "A receipt.")],
);
const WIN_DISPUTE: Step = step(
    "/v1/disputes/{dispute}",
    "",
    &[("evidence[uncategorized_text]", "winning_evidence")],
);
const LOSE_DISPUTE: Step = step("/v1/disputes/{dispute}/close", "", &[]);
const RISKY: Step = with_card("pm_card_riskLevelElevated", PAY);
const REVIEW: Step = step("GET /v1/reviews?limit=1", "review", &[]);
const APPROVE: Step = step("/v1/reviews/{review}/approve", "", &[]);
const CAPTURE: Step = step("/v1/payment_intents/{intent}/capture", "", &[]);
const CANCEL: Step = step("/v1/payment_intents/{intent}/cancel", "", &[]);
const REFUND: Step = step("/v1/refunds", "", &[("payment_intent", "{intent}")]);
const CUSTOMER: Step = step("/v1/customers", "customer", &[NAME]);
const RENAME: Step = step("/v1/customers/{customer}", "", &[("name", "Jenny Rosen")]);
const DELETE: Step = step("DELETE /v1/customers/{customer}", "", &[]);
const SAVE: Step = step(
    "/v1/setup_intents",
    "setup",
    &[("customer", "{customer}"), CARD, CONFIRM],
);
const MOVE: Step = step(
    "/v1/payment_methods/{method}",
    "",
    &[("billing_details[address][postal_code]", "12345")],
);
const DETACH: Step = step("/v1/payment_methods/{method}/detach", "", &[]);
const SETUP: Step = step("/v1/setup_intents", "setup", &[NAME]);
const SETUP_PAID: Step = step("/v1/setup_intents", "setup", &[CARD, CONFIRM]);
const SETUP_ASKED: Step = with_card(
    "pm_card_authenticationRequired",
    step(
        "/v1/setup_intents",
        "setup",
        &[CARD, CONFIRM, ("return_url", "https://example.com/return")],
    ),
);
const SETUP_FAILED: Step = Step {
    status: 400,
    ..with_card("pm_card_nobodys", SETUP_PAID)
};
const SESSION: Step = step(
    "/v1/checkout/sessions",
    "session",
    &[
        ("mode", "payment"),
        ("success_url", "https://example.com/success"),
        ("line_items[0][price_data][currency]", "usd"),
        ("line_items[0][price_data][unit_amount]", "2000"),
        (
            "line_items[0][price_data][product_data][name]",
            "(made by payments trigger)",
        ),
    ],
);
const SESSION_PAY: Step = step("/v1/payment_intents/{intent}/confirm", "", &[CARD]);
const SESSION_EXPIRE: Step = step("/v1/checkout/sessions/{session}/expire", "", &[]);
const SETUP_CANCEL: Step = step("/v1/setup_intents/{setup}/cancel", "", &[]);

/// What can be triggered.
const SCENES: &[Scene] = &[
    ("charge.captured", &[HOLD, CAPTURE]),
    ("charge.dispute.closed", &[DISPUTED, DISPUTE, LOSE_DISPUTE]),
    ("charge.dispute.created", &[DISPUTED]),
    (
        "charge.dispute.funds_reinstated",
        &[DISPUTED, DISPUTE, WIN_DISPUTE],
    ),
    ("charge.dispute.funds_withdrawn", &[DISPUTED]),
    (
        "charge.dispute.updated",
        &[DISPUTED, DISPUTE, ANSWER_DISPUTE],
    ),
    ("charge.failed", &[DECLINE]),
    ("charge.refunded", &[PAY, REFUND]),
    ("charge.succeeded", &[PAY]),
    ("checkout.session.completed", &[SESSION, SESSION_PAY]),
    ("checkout.session.expired", &[SESSION, SESSION_EXPIRE]),
    ("customer.created", &[CUSTOMER]),
    ("customer.deleted", &[CUSTOMER, DELETE]),
    ("customer.updated", &[CUSTOMER, RENAME]),
    ("payment_intent.amount_capturable_updated", &[HOLD]),
    ("payment_intent.canceled", &[CREATE, CANCEL]),
    ("payment_intent.created", &[CREATE]),
    ("payment_intent.payment_failed", &[DECLINE]),
    ("payment_intent.processing", &[QUEUE]),
    (
        "payment_intent.requires_action",
        &[with_card("pm_card_authenticationRequired", PAY)],
    ),
    ("payment_intent.succeeded", &[PAY]),
    ("payment_method.attached", &[CUSTOMER, SAVE]),
    ("payment_method.detached", &[CUSTOMER, SAVE, DETACH]),
    ("payment_method.updated", &[CUSTOMER, SAVE, MOVE]),
    ("refund.created", &[PAY, REFUND]),
    (
        "refund.failed",
        &[with_card("pm_card_refundFail", PAY), REFUND],
    ),
    ("refund.updated", &[PAY, REFUND]),
    ("review.closed", &[RISKY, REVIEW, APPROVE]),
    ("review.opened", &[RISKY]),
    ("setup_intent.canceled", &[SETUP, SETUP_CANCEL]),
    ("setup_intent.created", &[SETUP]),
    ("setup_intent.requires_action", &[SETUP_ASKED]),
    ("setup_intent.setup_failed", &[SETUP_FAILED]),
    ("setup_intent.succeeded", &[SETUP_PAID]),
];

/// What no call leads to: days have to pass (`cargo xtask clock` moves those of a demo).
#[cfg(test)]
const BY_TIME_ALONE: &[&str] = &["charge.expired"];

/// What the bank does by itself is waited for so long: it is asked every minute.
const WAIT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(250);

/// Makes the event happen and prints its object.
pub async fn run(trigger: Trigger) -> anyhow::Result<()> {
    let known = || SCENES.iter().map(|(event, _)| *event).collect::<Vec<_>>();
    if trigger.event == "list" {
        for event in known() {
            writeln!(std::io::stdout(), "{event}")?;
        }
        return Ok(());
    }
    let scene = SCENES.iter().find(|(event, _)| *event == trigger.event);
    let (event, steps) =
        scene.with_context(|| format!("this event cannot be triggered; {}", known().join(", ")))?;
    let file = trigger
        .secret_key_file
        .context("name the file of the merchant's test key with --secret-key-file")?;
    let key = secret_from_file(&file)?;
    ensure!(
        key.starts_with("sk_test_"),
        "events are triggered in test mode only: the key must begin with sk_test_"
    );
    let api = Api {
        base: trigger.api,
        key,
        client: Client::new(Duration::from_secs(5), Duration::from_secs(60)),
    };
    let before = api.latest(event).await?;
    let mut kept: Vec<(&str, String)> = Vec::new();
    for step in *steps {
        let card = trigger.card.as_deref().unwrap_or(step.card);
        let answer = api.play(step, &kept, card).await?;
        let id = answer["id"]
            .as_str()
            .or(answer["error"]["payment_intent"]["id"].as_str());
        if let (false, Some(id)) = (step.keep.is_empty(), id) {
            kept.push((step.keep, id.to_owned()));
        }
        for (field, name) in [("payment_intent", "intent"), ("payment_method", "method")] {
            if let Some(id) = answer[field].as_str() {
                kept.push((name, id.to_owned()));
            }
        }
    }
    let news = async || {
        let after = api.latest(event).await?;
        Ok((!after.is_null() && after["id"] != before["id"]).then_some(after))
    };
    let made = until(news).await?;
    let made = made.with_context(|| format!("the calls were made, and no {event} came of them"))?;
    writeln!(std::io::stdout(), "{made}")?;
    Ok(())
}

/// Looks again and again; None when there was nothing for so long.
async fn until<T>(look: impl AsyncFn() -> anyhow::Result<Option<T>>) -> anyhow::Result<Option<T>> {
    let end = Instant::now() + WAIT;
    loop {
        let found = look().await?;
        if found.is_some() || Instant::now() > end {
            return Ok(found);
        }
        tokio::time::sleep(POLL).await;
    }
}

struct Api {
    base: String,
    key: String,
    client: Client,
}

impl Api {
    async fn play(
        &self,
        step: &Step,
        kept: &[(&str, String)],
        card: &str,
    ) -> anyhow::Result<Value> {
        let fill = |text: &str| {
            let filled = kept.iter().fold(text.to_owned(), |text, (name, id)| {
                text.replace(&format!("{{{name}}}"), id)
            });
            filled.replace("{card}", card)
        };
        let (method, path) = match step.path.split_once(' ') {
            Some(("DELETE", path)) => (Method::DELETE, path),
            Some((_, path)) => return self.first(&fill(path)).await,
            None => (Method::POST, step.path),
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in step.form {
            // A token is no payment method, but becomes one.
            if *name == "payment_method" && card.starts_with("tok_") {
                form.append_pair("payment_method_data[type]", "card");
                form.append_pair("payment_method_data[card][token]", card);
            } else {
                form.append_pair(name, &fill(value));
            }
        }
        let early = step.status == 202;
        let path = &fill(path);
        let (status, answer) = self.call(method, path, form.finish(), early).await?;
        if status != step.status {
            bail!("POST {path} answered {status}: {}", said(&answer));
        }
        Ok(answer)
    }

    /// The first of a list, once there is one.
    async fn first(&self, path: &str) -> anyhow::Result<Value> {
        let look = async || {
            let (_, list) = self.call(Method::GET, path, String::new(), false).await?;
            Ok(list["data"].get(0).cloned())
        };
        until(look)
            .await?
            .with_context(|| format!("GET {path} lists nothing"))
    }

    /// The latest event of this type; null when there is none.
    async fn latest(&self, event: &str) -> anyhow::Result<Value> {
        let path = format!("/v1/events?limit=1&type={event}");
        let (status, answer) = self.call(Method::GET, &path, String::new(), false).await?;
        ensure!(
            status == 200,
            "GET /v1/events answered {status}: {}",
            said(&answer)
        );
        Ok(answer["data"].get(0).cloned().unwrap_or(json!(null)))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        form: String,
        early: bool,
    ) -> anyhow::Result<(u16, Value)> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if early {
            request = request.header("prefer", "respond-async");
        }
        let request = request.body(Bytes::from(form))?;
        let answer = self.client.send(request).await?;
        let status = answer.status().as_u16();
        let body = serde_json::from_slice(answer.body())
            .with_context(|| format!("{} is not this API: its answer is no JSON", self.base))?;
        Ok((status, body))
    }
}

fn said(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::KINDS;

    #[test]
    fn every_event_can_be_triggered_or_is_known_not_to() {
        let mut known: Vec<&str> = SCENES.iter().map(|(event, _)| *event).collect();
        known.extend(BY_TIME_ALONE);
        known.sort_unstable();
        assert_eq!(known, KINDS);
    }

    #[test]
    fn each_scene_uses_only_what_it_made() {
        for (event, steps) in SCENES {
            let mut kept = vec!["card"];
            for step in *steps {
                let texts = step.form.iter().map(|(_, value)| *value);
                for text in texts.chain([step.path]) {
                    if let Some((name, _)) =
                        text.split_once('{').and_then(|(_, t)| t.split_once('}'))
                    {
                        assert!(kept.contains(&name), "{event}: {name}");
                    }
                }
                kept.push(step.keep);
                match step.keep {
                    "session" => kept.push("intent"),
                    "setup" => kept.push("method"),
                    _ => {}
                }
            }
        }
    }
}
