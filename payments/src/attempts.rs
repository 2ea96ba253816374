//! Attempts: one send of a card each, committed before the vault is asked, closed at the vault when unanswered.

use serde_json::{Value, json};
use store::{Row, Tx, params};
use vault_api::forward::{BytesSent, Forward, Forwarded, ThreeDSecure};
use vault_api::ids::new_id;
use vault_api::tokens::GrantInfo;

use crate::app::{App, Origin, Owner};
use crate::connectors::{Acquirer, Authorise, Payment, Verdict};
use crate::error::Error;
use crate::http::params::from_column;
use crate::intents::Intent;
use crate::intents::confirm::Confirm;
use crate::outcome::{self, Outcome};
use crate::payment_methods::PaymentMethod;
use crate::risk::{self, Assessment};
use crate::routing::health::Ending;
use crate::routing::{self, limits};
use crate::three_ds::carried::Carried;
use crate::three_ds::{self, Authentication};
use crate::vault::Failure;

/// The columns that [`Attempt::from_row`] reads.
pub const COLUMNS: &str = "id, intent, merchant, livemode, confirmation, payment_method, acquirer, reference, amount, \
                       currency, capture, state, created_ms, next_check_at, checks, ordinal, \
                       error, request_id, idempotency_key, carried";

/// An attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub id: String,
    pub intent: String,
    pub owner: Owner,
    pub confirmation: String,
    pub payment_method: String,
    pub acquirer: String,
    /// What we are called at the acquirer.
    pub reference: String,
    pub amount: i64,
    pub currency: String,
    pub capture: bool,
    pub state: String,
    pub created_ms: i64,
    pub next_check_at: i64,
    pub checks: i64,
    /// Its place among the attempts of the confirmation.
    pub ordinal: i64,
    pub error: Option<Value>,
    pub origin: Origin,
    pub carried: Carried,
}

impl Attempt {
    /// The first attempt of a confirmation.
    pub fn new(
        app: &App,
        acquirer: &Acquirer,
        wanted: &Confirm,
        intent: &Intent,
        method: &PaymentMethod,
    ) -> Self {
        let now_ms = app.clock.now_ms();
        Self {
            id: new_id("att"),
            intent: intent.id.clone(),
            owner: intent.owner.clone(),
            confirmation: wanted.confirmation.clone(),
            payment_method: method.id.clone(),
            acquirer: acquirer.name().to_owned(),
            reference: new_id("ref"),
            amount: intent.amount,
            currency: intent.currency.clone(),
            capture: intent.capture_method != "manual",
            state: "sending".into(),
            created_ms: now_ms,
            next_check_at: first_check(now_ms, acquirer),
            checks: 0,
            ordinal: 0,
            error: None,
            origin: wanted.origin.clone(),
            carried: Carried::new(intent, method),
        }
    }

    /// The attempt that an authentication leads to; intent and card say the rest of it.
    pub fn of_authentication(
        app: &App,
        acquirer: &Acquirer,
        authentication: &Authentication,
        before: usize,
    ) -> Self {
        let now_ms = app.clock.now_ms();
        Self {
            id: new_id("att"),
            intent: authentication.intent.clone(),
            owner: authentication.owner.clone(),
            confirmation: authentication.confirmation.clone(),
            payment_method: authentication.payment_method.clone(),
            acquirer: acquirer.name().to_owned(),
            reference: new_id("ref"),
            amount: authentication.amount,
            currency: authentication.currency.clone(),
            capture: true,
            state: "sending".into(),
            created_ms: now_ms,
            next_check_at: first_check(now_ms, acquirer),
            checks: 0,
            ordinal: before as i64,
            error: None,
            origin: authentication.cause.clone(),
            carried: Carried::default(),
        }
    }

    /// The next attempt of the same confirmation.
    fn following(&self, app: &App, acquirer: &Acquirer) -> Self {
        let now_ms = app.clock.now_ms();
        Self {
            id: new_id("att"),
            reference: new_id("ref"),
            ordinal: self.ordinal + 1,
            acquirer: acquirer.name().to_owned(),
            created_ms: now_ms,
            next_check_at: first_check(now_ms, acquirer),
            ..self.clone()
        }
    }

    pub fn from_row(row: &Row) -> Result<Self, Error> {
        let error: Option<String> = row.get(16)?;
        let carried: Option<String> = row.get(19)?;
        Ok(Self {
            id: row.get(0)?,
            intent: row.get(1)?,
            owner: Owner {
                merchant: row.get(2)?,
                livemode: row.get(3)?,
            },
            confirmation: row.get(4)?,
            payment_method: row.get(5)?,
            acquirer: row.get(6)?,
            reference: row.get(7)?,
            amount: row.get(8)?,
            currency: row.get(9)?,
            capture: row.get(10)?,
            state: row.get(11)?,
            created_ms: row.get(12)?,
            next_check_at: row.get(13)?,
            checks: row.get(14)?,
            ordinal: row.get(15)?,
            error: error.as_deref().map(from_column).transpose()?,
            origin: Origin {
                request_id: row.get(17)?,
                idempotency_key: row.get(18)?,
            },
            carried: carried
                .as_deref()
                .map(from_column)
                .transpose()?
                .unwrap_or_default(),
        })
    }

    /// Whether a fraud rule keeps it from being sent.
    fn is_blocked(&self) -> bool {
        self.carried.risk.as_ref().is_some_and(Assessment::blocks)
    }

    /// What it comes to that a blocked attempt was not sent: it was declined.
    pub fn ruled_out(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::NotSent { .. } if self.is_blocked() => Outcome::Declined(risk::refused()),
            outcome => outcome,
        }
    }

    pub fn insert(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        tx.execute(
            "insert into attempts (id, intent, merchant, livemode, confirmation, payment_method, acquirer, reference,
                 amount, currency, capture, state, created_ms, next_check_at, ordinal, request_id, idempotency_key, carried)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'sending', $12, $13, $14, $15, $16, $17)",
            params![
                &self.id,
                &self.intent,
                &self.owner.merchant,
                self.owner.livemode,
                &self.confirmation,
                &self.payment_method,
                &self.acquirer,
                &self.reference,
                self.amount,
                &self.currency,
                self.capture,
                self.created_ms,
                self.next_check_at,
                self.ordinal,
                self.origin.request_id.clone(),
                self.origin.idempotency_key.clone(),
                json!(self.carried).to_string(),
            ],
        )?;
        Ok(())
    }
}

// The resolver leaves an attempt alone for as long as the call that made it may still be waiting.
fn first_check(now_ms: i64, acquirer: &Acquirer) -> i64 {
    now_ms.div_euclid(1000) + acquirer.total_s() + 5
}

/// The attempts of a confirmation, oldest first.
pub async fn of_confirmation(app: &App, confirmation: &str) -> Result<Vec<Attempt>, Error> {
    let confirmation = confirmation.to_owned();
    let read = move |tx: &mut Tx<'_>| -> Result<Vec<Attempt>, Error> {
        let sql =
            format!("select {COLUMNS} from attempts where confirmation = $1 order by ordinal");
        tx.all(&sql, params![&confirmation])?
            .iter()
            .map(Attempt::from_row)
            .collect()
    };
    app.store.read(read).await
}

/// Open attempts whose time has come, put off by `lease_s` so that nobody else takes them meanwhile.
pub async fn due(app: &App, lease_s: i64) -> Result<Vec<Attempt>, Error> {
    let now = app.clock.now();
    let take = move |tx: &mut Tx<'_>| -> Result<Vec<Attempt>, Error> {
        let skip_locked = if tx.is_postgres() {
            "for update skip locked"
        } else {
            ""
        };
        let sql = format!(
            "update attempts set next_check_at = $2, checks = checks + 1 where id in (
                 select id from attempts where state in ('sending', 'unknown') and next_check_at <= $1
                 order by next_check_at limit 20 {skip_locked})
             returning {COLUMNS}"
        );
        tx.all(&sql, params![now, now + lease_s])?
            .iter()
            .map(Attempt::from_row)
            .collect()
    };
    app.store.write(take).await
}

/// Sends the first attempt (or, when it is not `fresh`, asks the vault what became of it), then goes on with the
/// next acquirer for as long as nothing was decided. The last attempt, settled.
pub async fn run(
    app: &App,
    first: Attempt,
    fresh: bool,
    grant: Option<GrantInfo>,
) -> Result<Attempt, Error> {
    let (mut current, mut send_it) = (first, fresh);
    let mut tried = vec![current.acquirer.clone()];
    let mut cvc = grant.as_ref().is_some_and(|grant| grant.cvc);
    // One send per acquirer, and one more for a resumed one that had never started or lost its security code.
    for _ in 0..=app.acquirers.len() + 1 {
        let (outcome, cvc_sent) = match (&grant, send_it) {
            _ if send_it && current.is_blocked() => (Outcome::Declined(risk::refused()), false),
            (Some(grant), true) => match limits::refusal(app, &current, false).await? {
                Some(refused) => (Outcome::Declined(refused), false),
                None => send(app, &current, grant, cvc).await?,
            },
            _ => {
                let (outcome, cvc_sent) = close(app, &current).await?;
                (current.ruled_out(outcome), cvc_sent)
            }
        };
        // PCI DSS 3.3.1: the code does not outlive the first complete answer, so the next send goes without it.
        cvc &= !cvc_sent;
        let next = match (&outcome, &grant) {
            (Outcome::NotSent { again: true, .. }, Some(_)) => {
                app.acquirers.iter().find(|a| a.name() == current.acquirer)
            }
            (outcome, Some(_)) if outcome.may_go_elsewhere() => {
                let declined = matches!(outcome, Outcome::Declined(_));
                match declined && limits::refusal(app, &current, true).await?.is_some() {
                    true => None,
                    false => routing::next(app, &current, &tried).await?,
                }
            }
            _ => None,
        };
        if let Outcome::NotSent {
            again: true,
            cvc_gone: true,
            ..
        } = &outcome
        {
            cvc = false;
        }
        let next = next.map(|acquirer| current.following(app, acquirer));
        if matches!(outcome, Outcome::Open) {
            // The vault is still sending, or out of reach: the resolver asks again, soon.
            crate::resolver::put_off(app, &current, 1).await?;
        }
        let step_up = match &grant {
            Some(_) if next.is_none() => three_ds::step_up(app, &current, &outcome),
            _ => None,
        };
        let settled =
            outcome::settle(app, &current, outcome, next.clone(), step_up.as_ref()).await?;
        match next.filter(|_| settled) {
            None => break,
            Some(next) => {
                tried.push(next.acquirer.clone());
                (current, send_it) = (next, true);
            }
        }
    }
    let last = of_confirmation(app, &current.confirmation).await?;
    last.into_iter()
        .last()
        .ok_or(Error::Internal("an attempt is gone"))
}

/// What the confirmation's caller is told: nothing wrong, or the decline.
pub async fn verdict(app: &App, attempt: &Attempt) -> Result<(), Error> {
    let Some(mut error) = attempt.error.clone() else {
        return Ok(());
    };
    let (owner, id) = (attempt.owner.clone(), attempt.intent.clone());
    let intent = app
        .store
        .read(move |tx: &mut Tx<'_>| Intent::load(tx, &owner, &id))
        .await?;
    error["payment_intent"] = intent.object(&app.seal);
    Err(Error::Card(error))
}

async fn send(
    app: &App,
    attempt: &Attempt,
    grant: &GrantInfo,
    cvc: bool,
) -> Result<(Outcome, bool), Error> {
    let acquirer = app.acquirer(&attempt.acquirer)?;
    let Some(_permit) = acquirer.health.send() else {
        let why = "as many sends as it may have are under way";
        return Ok((Outcome::not_sent(why.into()), false));
    };
    acquirer.health.begins(app.clock.now_ms());
    let sent = send_with_permit(app, acquirer, attempt, grant, cvc).await?;
    note(app, acquirer, &sent.0);
    Ok(sent)
}

// What came of a send, for the breaker and the route's figures. A vault that cannot be reached says nothing about the
// acquirer.
fn note(app: &App, acquirer: &Acquirer, outcome: &Outcome) {
    let ending = match outcome {
        Outcome::Approved(_) => Ending::Approved,
        Outcome::Declined(_) => Ending::Declined,
        Outcome::NotSent { again: false, .. } | Outcome::Unknown(_) => Ending::Failed,
        _ => return,
    };
    let (health, name) = (&acquirer.health, acquirer.name());
    let now_ms = app.clock.now_ms();
    if health.ended(ending, now_ms) {
        let state = if health.is_open(now_ms) {
            "open"
        } else {
            "closed"
        };
        tracing::warn!(acquirer = name, state, "breaker");
    }
    let labels = [("acquirer", name)];
    let open = f64::from(u8::from(health.is_open(now_ms)));
    app.metrics.set("payments_route_open", &labels, open);
    let in_flight = health.in_flight() as f64;
    app.metrics
        .set("payments_route_in_flight", &labels, in_flight);
    app.metrics
        .set("payments_route_answered_ratio", &labels, health.success());
    if let Some(rate) = health.approval_rate() {
        app.metrics
            .set("payments_route_approval_ratio", &labels, rate);
    }
}

async fn send_with_permit(
    app: &App,
    acquirer: &Acquirer,
    attempt: &Attempt,
    grant: &GrantInfo,
    cvc: bool,
) -> Result<(Outcome, bool), Error> {
    let merchant = attempt.owner.merchant.as_str();
    let (operation, body) = acquirer.connector.authorise(&Authorise {
        merchant,
        capture: attempt.capture,
        cvc,
        credential: attempt.carried.credential.as_ref(),
    });
    let forward = Forward {
        attempt: attempt.id.clone(),
        grant: grant.id.clone(),
        destination: acquirer.destination().to_owned(),
        operation: operation.to_owned(),
        amount: attempt.amount,
        currency: attempt.currency.clone(),
        reference: attempt.reference.clone(),
        body,
        three_d_secure: authenticated(app, attempt).await?,
        dry_run: false,
    };
    match app
        .vault
        .forward(acquirer.forward_client(), merchant, &forward)
        .await
    {
        Ok(forwarded) => Ok((classify(acquirer, attempt, &forwarded), forwarded.cvc_sent)),
        Err(Failure::NotSent(why)) => Ok((Outcome::not_sent(why), false)),
        Err(failure) => {
            tracing::warn!(attempt = attempt.id, %failure, "the vault did not say how the send went");
            let gone = matches!(&failure, Failure::Refused(problem) if problem.code == "cvc_gone");
            let (mut outcome, cvc_sent) = close(app, attempt).await?;
            if let Outcome::NotSent {
                again, cvc_gone, ..
            } = &mut outcome
            {
                (*again, *cvc_gone) = (gone && cvc, gone);
            }
            Ok((outcome, cvc_sent))
        }
    }
}

// What the issuer gave for it, when the buyer was authenticated.
async fn authenticated(app: &App, attempt: &Attempt) -> Result<Option<ThreeDSecure>, Error> {
    let Some(id) = attempt.carried.authentication.clone() else {
        return Ok(None);
    };
    let read = move |tx: &mut Tx<'_>| Authentication::find(tx, &id);
    let found = app.store.read(read).await?;
    Ok(found.as_ref().and_then(three_ds::outcome::values))
}

/// Closes an attempt at the vault: its recorded outcome, or the certainty that it never starts.
pub async fn close(app: &App, attempt: &Attempt) -> Result<(Outcome, bool), Error> {
    let acquirer = app.acquirer(&attempt.acquirer)?;
    match app.vault.close(&attempt.owner.merchant, &attempt.id).await {
        Ok(forwarded) => {
            let mut outcome = classify(acquirer, attempt, &forwarded);
            if let Outcome::NotSent { again, .. } = &mut outcome {
                // It never started, so the same acquirer has not been asked.
                *again = forwarded
                    .failure
                    .as_deref()
                    .is_none_or(|failure| failure == "closed");
            }
            Ok((outcome, forwarded.cvc_sent))
        }
        Err(failure) => {
            tracing::warn!(attempt = attempt.id, %failure, "an attempt could not be closed at the vault yet");
            Ok((Outcome::Open, false))
        }
    }
}

fn classify(acquirer: &Acquirer, attempt: &Attempt, forwarded: &Forwarded) -> Outcome {
    if forwarded.attempt != attempt.id {
        return Outcome::Unknown("the vault answered about another attempt".into());
    }
    let Some(answer) = &forwarded.response else {
        let why = forwarded.failure.clone().unwrap_or_default();
        return match forwarded.bytes_sent {
            BytesSent::None => Outcome::not_sent(why),
            _ => Outcome::Unknown(why),
        };
    };
    match acquirer
        .connector
        .read_authorisation(answer.status, &answer.body)
    {
        Some(payment) => adopt(attempt, payment),
        None => Outcome::Unknown(format!("status {} without a valid answer", answer.status)),
    }
}

/// The outcome that a reported payment is, when it is the one that we asked for.
pub fn adopt(attempt: &Attempt, payment: Payment) -> Outcome {
    let same = payment.amount.is_none_or(|amount| amount == attempt.amount)
        && payment
            .currency
            .as_ref()
            .is_none_or(|currency| *currency == attempt.currency)
        && payment
            .reference
            .as_ref()
            .is_none_or(|reference| *reference == attempt.reference);
    match payment.verdict {
        Verdict::Declined(_) => Outcome::Declined(payment),
        Verdict::Voided if same => Outcome::NotCharged,
        _ if same => Outcome::Approved(payment),
        _ => {
            tracing::error!(
                attempt = attempt.id,
                "the acquirer reports another amount, currency or reference"
            );
            Outcome::Unknown("the acquirer's answer is about another payment".into())
        }
    }
}

/// Asks the acquirer by our reference. [`Outcome::NotCharged`]: it knows nothing of it, or holds nothing any more;
/// [`Outcome::Open`]: it did not say.
pub async fn ask(app: &App, attempt: &Attempt) -> Result<Outcome, Error> {
    let acquirer = app.acquirer(&attempt.acquirer)?;
    let connector = &acquirer.connector;
    let answer = match acquirer.call(connector.inquiry(&attempt.reference)).await {
        Ok((status, body)) => connector.read_inquiry(status, &body),
        Err(error) => {
            tracing::warn!(attempt = attempt.id, %error, "an inquiry was not answered");
            None
        }
    };
    let Some(payments) = answer else {
        return Ok(Outcome::Open);
    };
    if payments.len() > 1 {
        tracing::error!(
            attempt = attempt.id,
            count = payments.len(),
            "several payments under one reference"
        );
    }
    // Among several an approved one counts: it moves money.
    let found = payments.into_iter().map(|payment| adopt(attempt, payment));
    let best = found.reduce(|best, other| {
        if matches!(other, Outcome::Approved(_)) {
            other
        } else {
            best
        }
    });
    Ok(best.unwrap_or(Outcome::NotCharged))
}

/// Takes back whatever was taken under the attempt's reference, for good. Whether it was acknowledged.
pub async fn reverse(app: &App, attempt: &Attempt) -> Result<bool, Error> {
    let acquirer = app.acquirer(&attempt.acquirer)?;
    if !acquirer.reverses() {
        return Ok(false);
    }
    let connector = &acquirer.connector;
    let acknowledged = match acquirer.call(connector.reversal(&attempt.reference)).await {
        Ok((status, body)) => connector.read_reversal(status, &body),
        Err(error) => {
            tracing::warn!(attempt = attempt.id, %error, "a reversal was not answered");
            false
        }
    };
    let outcome = if acknowledged { "acknowledged" } else { "open" };
    let labels = [("acquirer", acquirer.name()), ("outcome", outcome)];
    app.metrics.count("payments_reversals_total", &labels);
    Ok(acknowledged)
}
