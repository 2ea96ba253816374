//! The schemes' limits on trying a card again, per merchant and card, whichever acquirer is asked.
//!
//! | scheme | never again after | at most |
//! |---|---|---|
//! | Visa | a response of category 1 | 20 reattempts in 30 days |
//! | Mastercard | advice 03 or 21 | 10 declines in 24 hours, 35 in 30 days |
//!
//! Sources: Visa Core Rules (April 2026) on reattempts; Mastercard Transaction Processing Rules on merchant advice
//! codes. Declines are counted since the card's last approval; what never left this house does not count.

use store::{Row, Tx, params};

use crate::app::{App, Owner};
use crate::attempts::Attempt;
use crate::connectors::responses::{NEVER_AGAIN, decline};
use crate::connectors::{Class, Decline, Facts, Payment, Verdict};
use crate::error::Error;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const MONTH_MS: i64 = 30 * DAY_MS;

/// Mastercard's advice: do not try again; the cardholder has ended a recurring payment.
const ADVICE_NEVER: [&str; 2] = ["03", "21"];

/// Remembers which card a confirmation sends.
pub fn remember(
    tx: &mut Tx<'_>,
    owner: &Owner,
    confirmation: &str,
    card: &str,
    scheme: &str,
    now_ms: i64,
) -> Result<(), Error> {
    tx.execute(
        "insert into confirmation_cards (confirmation, merchant, livemode, card, scheme, created_ms)
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
        params![confirmation, &owner.merchant, owner.livemode, card, scheme, now_ms],
    )?;
    Ok(())
}

/// A decline of the card's, as far as it counts.
struct Past {
    created_ms: i64,
    code: String,
    advice: Option<String>,
}

/// The decline that the attempt would only repeat, when its card may not be sent. `declined_now`: a decline is in hand
/// that is not in the books yet.
pub async fn refusal(
    app: &App,
    attempt: &Attempt,
    declined_now: bool,
) -> Result<Option<Payment>, Error> {
    let confirmation = attempt.confirmation.clone();
    let now_ms = app.clock.now_ms();
    let read = move |tx: &mut Tx<'_>| past(tx, &confirmation, now_ms);
    let Some((scheme, past)) = app.store.look_up(read).await? else {
        return Ok(None);
    };
    let reason = judge(&scheme, &past, now_ms, usize::from(declined_now));
    Ok(reason.map(|code| refused(&code)))
}

// Newest first, since the last approval.
fn past(
    tx: &mut Tx<'_>,
    confirmation: &str,
    now_ms: i64,
) -> Result<Option<(String, Vec<Past>)>, Error> {
    let row = tx.first(
        "select merchant, livemode, card, scheme from confirmation_cards where confirmation = $1",
        params![confirmation],
    )?;
    let Some(row) = row else {
        return Ok(None);
    };
    let (merchant, livemode, card): (String, bool, String) =
        (row.get(0)?, row.get(1)?, row.get(2)?);
    let since = now_ms - MONTH_MS;
    let mut newest = |order: &str| {
        let sql = format!(
            "select a.created_ms, a.state, c.response_code, c.advice_code
             from confirmation_cards k join attempts a on a.confirmation = k.confirmation
                 left join charges c on c.id = a.charge
             where k.merchant = $1 and k.livemode = $2 and k.card = $3 and a.created_ms > $4
                 and a.state in ('declined', 'captured', 'authorized')
             order by k.created_ms desc{order}"
        );
        tx.all(&sql, params![&merchant, livemode, &card, since])
    };
    // Most cards were approved last: then nothing counts against them. The first row is found by the index alone; an
    // approval is the last of its confirmation.
    let mut rows = newest(" limit 1")?;
    if is_decline(rows.first())? {
        rows = newest(", a.created_ms desc limit 100")?;
    }
    let mut past = Vec::new();
    for row in &rows {
        if !is_decline(Some(row))? {
            break;
        }
        if let Some(code) = row.get::<Option<String>>(2)? {
            past.push(Past {
                created_ms: row.get(0)?,
                code,
                advice: row.get(3)?,
            });
        }
    }
    Ok(Some((row.get(3)?, past)))
}

fn is_decline(attempt: Option<&Row>) -> Result<bool, Error> {
    Ok(match attempt {
        Some(row) => row.get::<String>(1)? == "declined",
        None => false,
    })
}

// The response code to repeat.
fn judge(scheme: &str, past: &[Past], now_ms: i64, more: usize) -> Option<String> {
    let last = past.first()?;
    let never = past.iter().find(|one| {
        let advised = one
            .advice
            .as_deref()
            .is_some_and(|advice| ADVICE_NEVER.contains(&advice));
        match scheme {
            "visa" => NEVER_AGAIN.contains(&one.code.as_str()),
            "mastercard" => advised,
            _ => false,
        }
    });
    if let Some(never) = never {
        return Some(never.code.clone());
    }
    let today = past
        .iter()
        .filter(|one| one.created_ms > now_ms - DAY_MS)
        .count();
    let over = match scheme {
        // The first one is no reattempt.
        "visa" => past.len() + more > 20,
        "mastercard" => today + more >= 10 || past.len() + more >= 35,
        _ => false,
    };
    over.then(|| last.code.clone())
}

// Stripe's words for the same decline, and nothing of an acquirer's: it was never asked.
fn refused(code: &str) -> Payment {
    let before = decline(code);
    Payment {
        id: None,
        reference: None,
        amount: None,
        currency: None,
        verdict: Verdict::Declined(Decline {
            class: Class::Hard,
            advice: "do_not_try_again",
            ..before
        }),
        facts: Facts::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declines(count: usize, hours_ago: i64, code: &str, advice: Option<&str>) -> Vec<Past> {
        let one = |_| Past {
            created_ms: MONTH_MS - hours_ago * 60 * 60 * 1000,
            code: code.to_owned(),
            advice: advice.map(str::to_owned),
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn visa_and_mastercard_count_differently() {
        let judge = |scheme, past: &[Past], more| judge(scheme, past, MONTH_MS, more).is_some();
        assert!(!judge("visa", &declines(20, 100, "51", None), 0));
        assert!(judge("visa", &declines(21, 100, "51", None), 0));
        assert!(judge("visa", &declines(20, 100, "96", None), 1));
        assert!(
            judge("visa", &declines(1, 100, "41", None), 0),
            "category 1"
        );
        assert!(!judge("mastercard", &declines(1, 100, "41", None), 0));
        assert!(judge("mastercard", &declines(1, 100, "05", Some("03")), 0));
        assert!(judge("mastercard", &declines(1, 100, "05", Some("21")), 0));
        assert!(!judge("mastercard", &declines(1, 100, "05", Some("02")), 0));
        assert!(!judge("mastercard", &declines(9, 1, "05", None), 0));
        assert!(judge("mastercard", &declines(10, 1, "05", None), 0));
        assert!(!judge("mastercard", &declines(34, 100, "05", None), 0));
        assert!(judge("mastercard", &declines(35, 100, "05", None), 0));
        assert!(!judge("amex", &declines(99, 1, "41", None), 0));
        assert!(!judge("visa", &[], 1));
    }
}
