//! What comes back of an acquirer's answer: the fields its operation allows, less what must not come back.
//!
//! Card data that an acquirer echoes is found by where it stands and by its shape, never by comparing it with the
//! card that was sent: a comparison would tell a caller who guesses whether the guess was right. So a security code,
//! an expiry and a holder are withheld by the name of their field, and any run of digits that could be a card number
//! is masked, whoever's it is.

use serde_json::{Map, Value};

use super::operation::Operation;
use super::template;

/// Names of fields whose value never comes back, without case and punctuation.
const WITHHELD: [&str; 46] = [
    "avscvc",
    "cardcode",
    "cardcvc",
    "cardcvv",
    "cardexp",
    "cardexpiration",
    "cardexpirationdate",
    "cardexpiry",
    "cardexpirydate",
    "cardholder",
    "cardholdername",
    "cardname",
    "cardsecuritycode",
    "cardverificationnumber",
    "cardverificationvalue",
    "cid",
    "csc",
    "cvc",
    "cvc2",
    "cvd",
    "cvn",
    "cvv",
    "cvv2",
    "exp",
    "expdate",
    "expiration",
    "expirationdate",
    "expirationmonth",
    "expirationyear",
    "expiry",
    "expirydate",
    "expirymonth",
    "expiryyear",
    "expmonth",
    "expyear",
    "holder",
    "holdername",
    "nameoncard",
    "securitycode",
    "track1",
    "track1data",
    "track2",
    "track2data",
    "verificationcode",
    "verificationvalue",
    "paymentcardexpiry",
];

/// Names of fields that hold a card number: only its last four digits come back, however it is written.
const NUMBERS: [&str; 9] = [
    "accountnumber",
    "acctnum",
    "cardnumber",
    "cardno",
    "cardpan",
    "creditcardnumber",
    "pan",
    "primaryaccountnumber",
    "ccnumber",
];

/// The placeholders whose own place in an answer is withheld too: some acquirers echo the request.
const ECHOES: [&str; 9] = [
    "card.exp_month",
    "card.exp_year",
    "card.exp_year2",
    "card.expiry.MM/YY",
    "card.expiry.MMYY",
    "card.expiry.YYMM",
    "card.expiry.YYYY-MM",
    "card.cvc",
    "card.name",
];

/// Whether the field a pointer names is one whose value never comes back.
#[must_use]
pub fn is_withheld(pointer: &str) -> bool {
    pointer
        .rsplit('/')
        .next()
        .is_some_and(|name| WITHHELD.contains(&plain(name).as_str()))
}

/// The fields of an answer that may come back, in their places, masked.
#[must_use]
pub fn allowed(answer: &Value, operation: &Operation) -> Value {
    let mut out = Value::Object(Map::new());
    for pointer in &operation.response {
        if let Some(value) = answer.pointer(pointer)
            && let Some(value) = masked(pointer, value, operation)
        {
            // A place that cannot be written to is left out.
            let _ = template::put(&mut out, pointer, value);
        }
    }
    out
}

// None when the field is withheld.
fn masked(pointer: &str, value: &Value, operation: &Operation) -> Option<Value> {
    let at = |name: &&str| operation.placeholders.get(*name).map(String::as_str) == Some(pointer);
    if is_withheld(pointer) || ECHOES.iter().any(at) {
        return None;
    }
    let is_number = pointer
        .rsplit('/')
        .next()
        .is_some_and(|name| NUMBERS.contains(&plain(name).as_str()))
        || at(&"card.number");
    let text = |text: &str| {
        let text = if is_number {
            last4(text)
        } else {
            text.to_owned()
        };
        Value::from(mask(&text))
    };
    Some(match value {
        Value::String(s) => text(s),
        Value::Number(number) => {
            let digits = digits_of(number);
            let shown = match text(&digits) {
                // Parsing rounds: a card number with a fraction may fail its check digit by one in the last place.
                _ if number.is_f64() && digits.len() >= 12 => Value::from(last4(&digits)),
                shown => shown,
            };
            if shown == digits {
                value.clone()
            } else {
                shown
            }
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            // An index is no name: items are judged by the name of their array.
            .filter_map(|(i, item)| match item {
                Value::Object(_) | Value::Array(_) => {
                    masked(&format!("{pointer}/{i}"), item, operation)
                }
                _ => masked(pointer, item, operation),
            })
            .collect(),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter_map(|(key, item)| {
                    let step = key.replace('~', "~0").replace('/', "~1");
                    let item = masked(&format!("{pointer}/{step}"), item, operation)?;
                    Some((mask(key), item))
                })
                .collect(),
        ),
        Value::Bool(_) | Value::Null => value.clone(),
    })
}

// 4242424242424242.0 and 4.242424242424242e15 are that number too.
fn digits_of(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && (1e11..1e25).contains(&float.abs()) => {
            format!("{float:.0}")
        }
        _ => number.to_string(),
    }
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

// All digits but the last four, wherever they stand.
fn last4(text: &str) -> String {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let mut seen = 0;
    text.chars()
        .map(|c| {
            if !c.is_ascii_digit() {
                return c;
            }
            seen += 1;
            if seen + 4 > digits { c } else { '*' }
        })
        .collect()
}

/// Masks every PAN-shaped run, however it is spaced: up to two characters that are neither letter nor digit may stand
/// between two digits of it. The filter of paths and ids takes one space or dash only; here there is no harm in more.
#[must_use]
pub fn mask(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = chars.clone();
    let mut run: Vec<usize> = vec![];
    let mut judge = |run: &mut Vec<usize>| {
        let digits: String = run
            .iter()
            .filter_map(|at| ascii_digit(chars[*at]))
            .collect();
        if digits.len() >= 12 && card::filter::holds_card_number(&digits) {
            for at in &run[..run.len() - 4] {
                out[*at] = '*';
            }
        }
        run.clear();
    };
    for (at, c) in chars.iter().enumerate() {
        if ascii_digit(*c).is_some() {
            if run.last().is_some_and(|last| at - last > 3) {
                judge(&mut run);
            }
            run.push(at);
        } else if c.is_alphanumeric() {
            judge(&mut run);
        }
    }
    judge(&mut run);
    // A whole run with a neighbour one space away is found by itself too.
    card::filter::mask(&out.into_iter().collect::<String>())
}

// Full-width digits are read as digits by people and by Unicode normalisation.
fn ascii_digit(c: char) -> Option<char> {
    match c {
        '0'..='9' => Some(c),
        '\u{ff10}'..='\u{ff19}' => char::from_digit(u32::from(c) - 0xff10, 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_masked_however_it_is_written() {
        for text in [
            "4242424242424242",
            "4242 4242 4242 4242",
            "4242-4242-4242-4242",
            "4242.4242.4242.4242",
            "4242  4242  4242  4242",
            "4242\u{a0}4242\u{a0}4242\u{a0}4242",
            "4,2,4,2,4,2,4,2,4,2,4,2,4,2,4,2",
            "pan=4242424242424242=2812",
            "(4242)(4242)(4242)(4242)",
            "４２４２４２４２４２４２４２４２",
            "card 4242\n4242\n4242\n4242 was declined",
        ] {
            let masked = mask(text);
            let shown = masked.chars().filter(|c| ascii_digit(*c).is_some()).count();
            assert!(shown <= 8, "{text} -> {masked}");
            assert!(
                masked.contains("************") || masked.contains('*'),
                "{masked}"
            );
        }
    }

    #[test]
    fn what_is_no_card_number_stays() {
        for text in [
            "",
            "2026-11-21T07:52:54Z",
            "8ac7a4a18d2b3c4d5e6f",
            "4242424242424241",
            "order 1796083200",
            "ü ok",
        ] {
            assert_eq!(mask(text), text);
        }
    }

    #[test]
    fn fields_are_known_by_name() {
        for pointer in [
            "/cvc",
            "/card/CVV2",
            "/a/expiry-date",
            "/x/@card_holder",
            "/exp_month",
        ] {
            assert!(is_withheld(pointer), "{pointer}");
        }
        for pointer in [
            "/cvc_result",
            "/expires_at",
            "/name",
            "/number",
            "/experience",
        ] {
            assert!(!is_withheld(pointer), "{pointer}");
        }
    }
}
