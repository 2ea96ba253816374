//! The row of an authentication, and its states.
//!
//! | state | what is going on | whose turn it is |
//! |---|---|---|
//! | `enrolling` | the directory server is asked whether the card takes part | ours |
//! | `ready` | the page waits for the buyer's browser | the buyer's |
//! | `authenticating` | the AReq is on its way | ours |
//! | `challenge` | the issuer asks the buyer | the issuer's, which tells us (RReq) |
//! | `authenticated` | there is a result that the payment goes on with | ours |
//! | `done`, `failed`, `abandoned` | it is over: attempts, error or another confirmation say more | – |

use serde_json::{Value, json};
use store::{Row, Tx, params};
use vault_api::ids::new_id;

use super::ThreeDs;
use crate::app::{Origin, Owner};
use crate::error::Error;
use crate::http::params::from_column;
use crate::risk::Assessment;

/// An authentication's page is of use for so long, seconds: its grant's life, less the time of an authorisation.
const LIFE: i64 = 14 * 60;

const COLUMNS: &str = "id, transaction_id, merchant, livemode, created_ms, intent, confirmation, payment_method, \
    acquirer, amount, currency, challenge, required, return_url, state, next_check_at, expires_at, checks, origin, \
    version, method_url, browser, acs_url, acs_trans_id, ds_trans_id, trans_status, reason, cancel, flow, eci, cavv, \
    request_id, idempotency_key, risk";

/// The states in which it is not over.
pub const OPEN: &str = "('enrolling', 'ready', 'authenticating', 'challenge', 'authenticated')";

/// An authentication.
#[derive(Debug, Clone)]
pub struct Authentication {
    /// Names its page.
    pub id: String,
    /// EMV's threeDSServerTransID.
    pub transaction_id: String,
    pub owner: Owner,
    pub created_ms: i64,
    pub intent: String,
    pub confirmation: String,
    pub payment_method: String,
    pub acquirer: String,
    pub amount: i64,
    pub currency: String,
    pub mandated: bool,
    pub required: bool,
    pub return_url: Option<String>,
    pub state: String,
    pub next_check_at: i64,
    pub expires_at: i64,
    pub checks: i64,
    pub origin: Option<String>,
    pub version: Option<String>,
    pub method_url: Option<String>,
    pub browser: Option<Value>,
    pub acs_url: Option<String>,
    pub acs_trans_id: Option<String>,
    pub ds_trans_id: Option<String>,
    pub trans_status: Option<String>,
    pub reason: Option<String>,
    pub cancel: Option<String>,
    pub flow: Option<String>,
    pub eci: Option<String>,
    pub cavv: Option<String>,
    /// The call that it began with.
    pub cause: Origin,
    /// What the fraud rules said of the payment.
    pub risk: Option<Assessment>,
}

/// What a new one is for.
pub struct Begin<'a> {
    pub owner: &'a Owner,
    pub cause: &'a Origin,
    pub intent: &'a str,
    pub confirmation: &'a str,
    pub payment_method: &'a str,
    pub acquirer: &'a str,
    pub amount: i64,
    pub currency: &'a str,
    pub mandated: bool,
    pub required: bool,
    pub return_url: Option<&'a str>,
    pub risk: Option<&'a Assessment>,
}

impl Authentication {
    /// A new one, in state `enrolling`.
    pub fn begin(setup: &ThreeDs, begin: &Begin<'_>, now_ms: i64) -> Self {
        let now = now_ms.div_euclid(1000);
        Self {
            id: new_id("tds"),
            transaction_id: uuid(),
            owner: begin.owner.clone(),
            created_ms: now_ms,
            intent: begin.intent.to_owned(),
            confirmation: begin.confirmation.to_owned(),
            payment_method: begin.payment_method.to_owned(),
            acquirer: begin.acquirer.to_owned(),
            amount: begin.amount,
            currency: begin.currency.to_owned(),
            mandated: begin.mandated,
            required: begin.required,
            return_url: begin.return_url.map(str::to_owned),
            state: "enrolling".into(),
            next_check_at: now + setup.total_s + 5,
            expires_at: now + LIFE,
            checks: 0,
            origin: None,
            version: None,
            method_url: None,
            browser: None,
            acs_url: None,
            acs_trans_id: None,
            ds_trans_id: None,
            trans_status: None,
            reason: None,
            cancel: None,
            flow: None,
            eci: None,
            cavv: None,
            cause: begin.cause.clone(),
            risk: begin.risk.cloned(),
        }
    }

    fn from_row(row: &Row) -> Result<Self, Error> {
        let browser: Option<String> = row.get(21)?;
        let risk: Option<String> = row.get(33)?;
        Ok(Self {
            id: row.get(0)?,
            transaction_id: row.get(1)?,
            owner: Owner {
                merchant: row.get(2)?,
                livemode: row.get(3)?,
            },
            created_ms: row.get(4)?,
            intent: row.get(5)?,
            confirmation: row.get(6)?,
            payment_method: row.get(7)?,
            acquirer: row.get(8)?,
            amount: row.get(9)?,
            currency: row.get(10)?,
            mandated: row.get::<String>(11)? == "mandated",
            required: row.get(12)?,
            return_url: row.get(13)?,
            state: row.get(14)?,
            next_check_at: row.get(15)?,
            expires_at: row.get(16)?,
            checks: row.get(17)?,
            origin: row.get(18)?,
            version: row.get(19)?,
            method_url: row.get(20)?,
            browser: browser.as_deref().map(from_column).transpose()?,
            acs_url: row.get(22)?,
            acs_trans_id: row.get(23)?,
            ds_trans_id: row.get(24)?,
            trans_status: row.get(25)?,
            reason: row.get(26)?,
            cancel: row.get(27)?,
            flow: row.get(28)?,
            eci: row.get(29)?,
            cavv: row.get(30)?,
            cause: Origin {
                request_id: row.get(31)?,
                idempotency_key: row.get(32)?,
            },
            risk: risk.as_deref().map(from_column).transpose()?,
        })
    }

    /// The one with this id.
    pub fn find(tx: &mut Tx<'_>, id: &str) -> Result<Option<Self>, Error> {
        Self::first(tx, "id = $1", id)
    }

    /// The last one of a confirmation.
    pub fn of_confirmation(tx: &mut Tx<'_>, confirmation: &str) -> Result<Option<Self>, Error> {
        let row = "confirmation = $1 order by created_ms desc, id";
        Self::first(tx, row, confirmation)
    }

    /// The one with this EMV transaction id.
    pub fn of_transaction(tx: &mut Tx<'_>, transaction: &str) -> Result<Option<Self>, Error> {
        Self::first(tx, "transaction_id = $1", transaction)
    }

    fn first(tx: &mut Tx<'_>, condition: &str, value: &str) -> Result<Option<Self>, Error> {
        let sql = format!("select {COLUMNS} from authentications where {condition} limit 1");
        let row = tx.first(&sql, params![value])?;
        row.as_ref().map(Self::from_row).transpose()
    }

    /// Stores a new one.
    pub fn insert(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        tx.execute(
            "insert into authentications (id, transaction_id, merchant, livemode, created_ms, intent, confirmation,
                 payment_method, acquirer, amount, currency, challenge, required, return_url, state, next_check_at,
                 expires_at, request_id, idempotency_key, risk)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'enrolling', $15, $16, $17, $18, $19)",
            params![
                &self.id,
                &self.transaction_id,
                &self.owner.merchant,
                self.owner.livemode,
                self.created_ms,
                &self.intent,
                &self.confirmation,
                &self.payment_method,
                &self.acquirer,
                self.amount,
                &self.currency,
                if self.mandated { "mandated" } else { "no_preference" },
                self.required,
                self.return_url.clone(),
                self.next_check_at,
                self.expires_at,
                self.cause.request_id.clone(),
                self.cause.idempotency_key.clone(),
                self.risk.as_ref().map(|risk| json!(risk).to_string()),
            ],
        )?;
        Ok(())
    }

    /// Whether it is for a setup intent.
    pub fn is_setup(&self) -> bool {
        self.intent.starts_with("seti_")
    }

    /// Whether it is not over.
    pub fn is_open(&self) -> bool {
        OPEN.contains(&format!("'{}'", self.state))
    }
}

/// Moves one from a state to another; false when somebody else moved it first.
pub fn moved(tx: &mut Tx<'_>, id: &str, from: &str, to: &str, at: i64) -> Result<bool, Error> {
    let moved = tx.execute(
        "update authentications set state = $3, next_check_at = $4 where id = $1 and state = $2",
        params![id, from, to, at],
    )?;
    Ok(moved == 1)
}

/// Ends what is under way for an intent: another confirmation begins, or its terms change.
pub fn abandon(tx: &mut Tx<'_>, intent: &str) -> Result<(), Error> {
    let sql = format!(
        "update authentications set state = 'abandoned' where intent = $1 and state in {OPEN}"
    );
    tx.execute(&sql, params![intent])?;
    Ok(())
}

/// Open ones whose time has come, put off by `lease_s` so that nobody else takes them meanwhile.
pub fn due(tx: &mut Tx<'_>, now: i64, lease_s: i64) -> Result<Vec<Authentication>, Error> {
    let skip_locked = tx.skip_locked();
    let sql = format!(
        "update authentications set next_check_at = $2, checks = checks + 1 where id in (
             select id from authentications where state in {OPEN} and next_check_at <= $1
             order by next_check_at limit 20 {skip_locked})
         returning {COLUMNS}"
    );
    tx.all(&sql, params![now, now + lease_s])?
        .iter()
        .map(Authentication::from_row)
        .collect()
}

/// A random UUID (version 4).
fn uuid() -> String {
    let mut bytes = [0u8; 16];
    #[expect(
        clippy::expect_used,
        reason = "without randomness nothing may be authenticated"
    )]
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = vault_api::keys::hex(&bytes);
    let (a, b, c) = (&hex[..8], &hex[8..12], &hex[12..16]);
    format!("{a}-{b}-{c}-{}-{}", &hex[16..20], &hex[20..])
}
