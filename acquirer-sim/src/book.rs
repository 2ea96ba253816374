//! The book: payments, and an entry for every message that was answered.
//!
//! Money moves only by conditional single-statement updates under CHECK constraints, so that whatever races, no more
//! is captured than was authorised and no more is given back than was captured. A message's entry is inserted before
//! its effect, under a unique key: the same reference again finds the entry and answers what it says.

pub(crate) mod disputes;
pub(crate) mod notifications;
pub(crate) mod returns;
pub(crate) mod reversals;
pub(crate) mod settlement;

use serde::Serialize;
use store::{Error, Migration, Row, Tx, params};

use crate::acquirer::{Acquirer, reference_of};
use crate::issuer::{APPROVED, Decision, EXCEEDS_AMOUNT, INVALID_TRANSACTION};
use crate::three_ds::cards::Wants;
use crate::three_ds::terms::{Judged, Terms};

/// The schema.
pub(crate) const MIGRATIONS: &[Migration] = &[
    ("0001_book", include_str!("../migrations/0001_book.sql")),
    (
        "0002_three_ds",
        include_str!("../migrations/0002_three_ds.sql"),
    ),
    (
        "0003_disputes_and_settlement",
        include_str!("../migrations/0003_disputes_and_settlement.sql"),
    ),
    (
        "0004_exemptions",
        include_str!("../migrations/0004_exemptions.sql"),
    ),
    (
        "0005_refunds",
        include_str!("../migrations/0005_refunds.sql"),
    ),
];

/// How long an authorisation can be captured.
pub(crate) const AUTHORISATION_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// What a dialect asks for once the issuer has decided.
#[derive(Clone)]
pub(crate) struct NewPayment {
    pub(crate) acquirer: Acquirer,
    pub(crate) reference: String,
    pub(crate) merchant: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) capture: bool,
    pub(crate) card: CardFacts,
    /// What the issuer says, given that it is content with who is paying.
    pub(crate) decision: Decision,
    /// What it wants to be content.
    pub(crate) wants: Wants,
    /// What the request says of that.
    pub(crate) terms: Terms,
}

impl NewPayment {
    fn judged(&self) -> Judged<'_> {
        Judged {
            reference: &self.reference,
            amount: self.amount,
            brand: self.card.brand,
            card_hmac: self.card.hmac,
            wants: self.wants,
        }
    }
}

/// What the book keeps of a card.
#[derive(Clone)]
pub(crate) struct CardFacts {
    pub(crate) brand: &'static str,
    pub(crate) last4: String,
    pub(crate) hmac: Option<[u8; 32]>,
}

/// A payment as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Payment {
    pub(crate) id: String,
    pub(crate) reference: String,
    pub(crate) currency: String,
    pub(crate) requested: i64,
    pub(crate) authorised: i64,
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
    pub(crate) voided: bool,
    pub(crate) response_code: String,
    pub(crate) auth_code: Option<String>,
    pub(crate) network_transaction_id: Option<String>,
    pub(crate) cvc_result: String,
    pub(crate) avs_result: String,
    pub(crate) created_at: i64,
    pub(crate) brand: String,
    /// How the first message was answered, whatever happened since.
    pub(crate) first_status: String,
}

impl Payment {
    /// What Mastercard advises after a decline: 03 never again, 02 later.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        match self.response_code.as_str() {
            _ if self.brand != "mastercard" || self.response_code == APPROVED => None,
            "04" | "07" | "14" | "41" | "43" | "54" | "59" => Some("03"),
            _ => Some("02"),
        }
    }

    /// Where it stands at `now` (milliseconds).
    pub(crate) fn status(&self, now: i64) -> &'static str {
        match self {
            Self { authorised: 0, .. } => "declined",
            Self { voided: true, .. } => "voided",
            Self { captured: 0, .. } if now - self.created_at >= AUTHORISATION_MS => "expired",
            Self { captured: 0, .. } => "authorised",
            _ => "captured",
        }
    }
}

/// What can follow an authorisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Capture(i64),
    Void,
    Refund(i64),
}

impl Change {
    /// Its kind in the book.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Capture(_) => "capture",
            Self::Void => "void",
            Self::Refund(_) => "refund",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Capture(_) => "captured",
            Self::Void => "voided",
            Self::Refund(_) => "refunded",
        }
    }
}

/// An entry of the book.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) payment: String,
    pub(crate) reference: String,
    pub(crate) payment_reference: String,
    pub(crate) kind: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) status: String,
    pub(crate) response_code: String,
    pub(crate) brand: String,
    pub(crate) last4: String,
    /// Unix milliseconds.
    pub(crate) created: i64,
    pub(crate) acquirer: String,
}

/// How often a kind of entry ended in a status, and for how much.
#[derive(Debug, Serialize)]
pub(crate) struct Total {
    pub(crate) kind: String,
    pub(crate) currency: String,
    pub(crate) status: String,
    pub(crate) count: i64,
    pub(crate) sum: i64,
}

/// Ids and codes a payment needs; made outside the transaction, which may run twice.
#[derive(Clone)]
pub(crate) struct Names {
    payment: String,
    entry: String,
    auth_code: String,
    network_transaction_id: String,
}

impl Names {
    pub(crate) fn new(acquirer: Acquirer) -> Self {
        Self {
            payment: format!("{}{}", acquirer.id_prefix(), random(BASE36, 24)),
            entry: new_entry_id(),
            auth_code: random(BASE36, 6).to_uppercase(),
            network_transaction_id: network_transaction_id(),
        }
    }
}

/// Books a payment; the reference's first one when there is one already. Under a reference that was reversed nothing
/// is approved any more.
pub(crate) fn pay(
    tx: &mut Tx<'_>,
    new: &NewPayment,
    names: &Names,
    now: i64,
) -> Result<Payment, Error> {
    let mut decision = new.terms.judge(tx, &new.judged(), new.decision)?;
    if reversals::is_reversed(tx, new.acquirer, &new.reference)? {
        decision.code = INVALID_TRANSACTION;
    }
    let approved = decision.is_approved();
    let key = new.acquirer.key(&new.reference);
    let authorised = if approved { new.amount } else { 0 };
    let captured = if new.capture { authorised } else { 0 };
    let inserted = tx.execute(
        "insert into payments (id, reference, dialect, merchant, currency, requested, authorised, captured,
             response_code, auth_code, network_transaction_id, cvc_result, avs_result, brand, last4, card_hmac, created_at,
             refund_course)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
         on conflict do nothing",
        params![
            &names.payment, &key, new.acquirer.name(), &new.merchant, &new.currency, new.amount, authorised, captured,
            decision.code, approved.then(|| names.auth_code.clone()),
            approved.then(|| names.network_transaction_id.clone()), decision.cvc_result, decision.avs_result,
            new.card.brand, &new.card.last4, new.card.hmac, now, new.decision.refunds.map(|course| course.name())
        ],
    )?;
    if inserted == 1 {
        let kind = if new.capture { "sale" } else { "authorisation" };
        let status = match (approved, new.capture) {
            (false, _) => "declined",
            (true, true) => "captured",
            (true, false) => "authorised",
        };
        tx.execute(
            "insert into entries (id, payment_id, kind, reference, amount, status, response_code, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            params![
                &names.entry, &names.payment, kind, &new.reference, new.amount, status, decision.code, now
            ],
        )?;
        new.terms
            .record(tx, &names.payment, &new.judged(), approved)?;
    }
    let booked = by_reference(tx, new.acquirer, &new.reference)?
        .into_iter()
        .next();
    // The row was inserted or conflicted with one; there is no delete.
    let booked = booked.ok_or(Error::Column(0))?;
    if inserted == 1 && new.capture && approved {
        disputes::open_if_due(tx, new.acquirer, &booked, new.decision.dispute, now)?;
    }
    Ok(booked)
}

const PAYMENT: &str = "select p.id, p.reference, p.currency, p.requested, p.authorised, p.captured, p.refunded,
        p.voided_at, p.response_code, p.auth_code, p.network_transaction_id, p.cvc_result, p.avs_result,
        p.created_at, p.brand, e.status
    from payments p join entries e on e.payment_id = p.id and e.kind in ('sale', 'authorisation')";

/// The payments of a reference at an acquirer: one or none.
pub(crate) fn by_reference(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    reference: &str,
) -> Result<Vec<Payment>, Error> {
    let sql = format!("{PAYMENT} where p.reference = $1");
    tx.all(&sql, params![acquirer.key(reference)])?
        .iter()
        .map(payment)
        .collect()
}

/// The acquirer's last payments, newest first.
pub(crate) fn latest(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    most: i64,
) -> Result<Vec<Payment>, Error> {
    let sql = format!("{PAYMENT} where p.dialect = $1 order by p.created_at desc, p.id limit $2");
    tx.all(&sql, params![acquirer.name(), most])?
        .iter()
        .map(payment)
        .collect()
}

/// The acquirer's payment with this id.
pub(crate) fn by_id(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    id: &str,
) -> Result<Option<Payment>, Error> {
    let sql = format!("{PAYMENT} where p.id = $1 and p.dialect = $2");
    tx.first(&sql, params![id, acquirer.name()])?
        .as_ref()
        .map(payment)
        .transpose()
}

fn payment(row: &Row) -> Result<Payment, Error> {
    Ok(Payment {
        id: row.get(0)?,
        reference: reference_of(&row.get::<String>(1)?),
        currency: row.get(2)?,
        requested: row.get(3)?,
        authorised: row.get(4)?,
        captured: row.get(5)?,
        refunded: row.get(6)?,
        voided: row.get::<Option<i64>>(7)?.is_some(),
        response_code: row.get(8)?,
        auth_code: row.get(9)?,
        network_transaction_id: row.get(10)?,
        cvc_result: row.get(11)?,
        avs_result: row.get(12)?,
        created_at: row.get(13)?,
        brand: row.get(14)?,
        first_status: row.get(15)?,
    })
}

/// Captures, voids or refunds; what the reference's first message was answered when it came before. None when there
/// is no such payment.
pub(crate) fn change(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    payment_id: &str,
    change: Change,
    reference: &str,
    entry_id: &str,
    now: i64,
) -> Result<Option<Entry>, Error> {
    let Some(payment) = by_id(tx, acquirer, payment_id)? else {
        return Ok(None);
    };
    let amount = match change {
        Change::Capture(amount) | Change::Refund(amount) => amount,
        Change::Void => payment.authorised,
    };
    let inserted = tx.execute(
        "insert into entries (id, payment_id, kind, reference, amount, status, response_code, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
        params![
            entry_id, payment_id, change.kind(), reference, amount, change.done(), APPROVED, now
        ],
    )?;
    if inserted == 1 {
        match refusal(tx, acquirer, payment_id, change, now)? {
            Some(code) => {
                tx.execute(
                    "update entries set status = 'declined', response_code = $2 where id = $1",
                    params![entry_id, code],
                )?;
            }
            None if matches!(change, Change::Refund(_)) => {
                returns::begin(tx, entry_id, payment_id, now)?;
            }
            None => {}
        }
    }
    let sql = format!("{ENTRY} where e.payment_id = $1 and e.kind = $2 and e.reference = $3");
    let row = tx.first(&sql, params![payment_id, change.kind(), reference])?;
    let Some(mut entry) = row.as_ref().map(entry).transpose()? else {
        return Ok(None);
    };
    if returns::is_pending(tx, &entry.id)? {
        entry.status = "pending".into();
    }
    Ok(Some(entry))
}

// Moves the money, or says why not.
fn refusal(
    tx: &mut Tx<'_>,
    acquirer: Acquirer,
    payment_id: &str,
    change: Change,
    now: i64,
) -> Result<Option<&'static str>, Error> {
    let moved = match change {
        Change::Capture(amount) => tx.execute(
            "update payments set captured = captured + $2
             where id = $1 and voided_at is null and captured + $2 <= authorised
               and (captured > 0 or created_at > $3)",
            params![payment_id, amount, now - AUTHORISATION_MS],
        ),
        Change::Void => tx.execute(
            "update payments set voided_at = $2
             where id = $1 and voided_at is null and captured = 0 and authorised > 0",
            params![payment_id, now],
        ),
        Change::Refund(amount) => tx.execute(
            "update payments set refunded = refunded + $2 where id = $1 and refunded + $2 <= captured",
            params![payment_id, amount],
        ),
    }?;
    if moved == 1 {
        return Ok(None);
    }
    let payment = by_id(tx, acquirer, payment_id)?;
    let has_something = payment.is_some_and(|p| match change {
        Change::Capture(_) => matches!(p.status(now), "authorised" | "captured"),
        Change::Refund(_) => p.captured > 0,
        Change::Void => false,
    });
    Ok(Some(if has_something {
        EXCEEDS_AMOUNT
    } else {
        INVALID_TRANSACTION
    }))
}

const ENTRY: &str =
    "select e.id, e.payment_id, e.reference, p.reference, e.kind, e.amount, p.currency, e.status,
        e.response_code, p.brand, p.last4, e.created_at, p.dialect
    from entries e join payments p on p.id = e.payment_id";

/// Entries, newest first: those of a reference (the payment's or their own), or the last `most` of all.
pub(crate) fn entries(
    tx: &mut Tx<'_>,
    reference: Option<&str>,
    most: i64,
) -> Result<Vec<Entry>, Error> {
    let order = "order by e.created_at desc, e.id";
    let rows = match reference {
        Some(reference) => tx.all(
            &format!("{ENTRY} where e.reference = $1 or p.reference in ($1, $2, $3) {order}"),
            params![
                reference,
                Acquirer::Form.key(reference),
                Acquirer::Xml.key(reference)
            ],
        ),
        None => tx.all(&format!("{ENTRY} {order} limit $1"), params![most]),
    }?;
    rows.iter().map(entry).collect()
}

fn entry(row: &Row) -> Result<Entry, Error> {
    Ok(Entry {
        id: row.get(0)?,
        payment: row.get(1)?,
        reference: row.get(2)?,
        payment_reference: reference_of(&row.get::<String>(3)?),
        kind: row.get(4)?,
        amount: row.get(5)?,
        currency: row.get(6)?,
        status: row.get(7)?,
        response_code: row.get(8)?,
        brand: row.get(9)?,
        last4: row.get(10)?,
        created: row.get(11)?,
        acquirer: row.get(12)?,
    })
}

/// Counts and sums per kind, currency and status.
pub(crate) fn totals(tx: &mut Tx<'_>) -> Result<Vec<Total>, Error> {
    let rows = tx.all(
        "select e.kind, p.currency, e.status, cast(count(*) as bigint), cast(sum(e.amount) as bigint)
         from entries e join payments p on p.id = e.payment_id
         group by e.kind, p.currency, e.status order by e.kind, p.currency, e.status",
        params![],
    )?;
    let total = |row: &Row| {
        Ok(Total {
            kind: row.get(0)?,
            currency: row.get(1)?,
            status: row.get(2)?,
            count: row.get(3)?,
            sum: row.get(4)?,
        })
    };
    rows.iter().map(total).collect()
}

pub(crate) const BASE36: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// A fresh entry id.
pub(crate) fn new_entry_id() -> String {
    format!("en_{}", random(BASE36, 24))
}

// Fifteen digits, as Visa prints it; never one that a filter would take for a card number.
fn network_transaction_id() -> String {
    loop {
        let id = random(b"0123456789", 15);
        if !card::filter::holds_card_number(&id) {
            return id;
        }
    }
}

/// A random name: `n` characters of `alphabet`.
pub(crate) fn random(alphabet: &[u8], n: usize) -> String {
    let mut bytes = vec![0u8; n];
    #[expect(clippy::expect_used, reason = "without randomness no id may be made")]
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    // The small bias of the remainder does not matter: ids name, they do not authorise.
    let places = bytes.iter().map(|b| usize::from(*b) % alphabet.len());
    places.map(|at| char::from(alphabet[at])).collect()
}
