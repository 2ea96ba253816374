//! The PAN filter: finds what looks like a card number where none may stand (paths, ids, headers, metadata).
//!
//! A hit is a whole digit run (single spaces or dashes inside allowed) of a known brand's range and length that
//! has a right check digit. That is narrow enough to leave order numbers and timestamps alone: nine in ten fail Luhn, and
//! most of the rest have no brand. What machines name things by in hex is passed over, a whole UUID (RFC 9562) and a word of
//! a digest's or a trace id's length: about one random one in a thousand holds such a run by chance, and they name orders,
//! idempotency keys and traces.

use crate::{Brand, number};

/// Whether `text` holds a whole digit run that could be a card number.
#[must_use]
pub fn holds_card_number(text: &str) -> bool {
    spans(text).next().is_some()
}

/// `text` with the middle of every PAN-shaped run replaced by `*`; the separators stay.
#[must_use]
pub fn mask(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (start, end) in spans(text) {
        let places: Vec<usize> = (start..end)
            .filter(|i| bytes[*i].is_ascii_digit())
            .collect();
        for place in &places[..places.len() - 4] {
            bytes[*place] = b'*';
        }
    }
    // Only ASCII digits were replaced by ASCII, so this is still UTF-8.
    String::from_utf8(bytes).unwrap_or_default()
}

fn spans(text: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            if let Some(end) = hex_id(bytes, at) {
                at = end;
                continue;
            }
            if !bytes[at].is_ascii_digit() {
                at += 1;
                continue;
            }
            let start = at;
            let mut digits = String::new();
            while at < bytes.len() {
                let b = bytes[at];
                let joins = matches!(b, b' ' | b'-')
                    && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
                    && hex_id(bytes, at + 1).is_none();
                if b.is_ascii_digit() {
                    digits.push(b as char);
                } else if !joins {
                    break;
                }
                at += 1;
            }
            if looks_like_card_number(&digits) {
                return Some((start, at));
            }
        }
        None
    })
}

// The end of the machine's id in hex that stands at `at` on its own.
fn hex_id(bytes: &[u8], at: usize) -> Option<usize> {
    let alone = |place: Option<&u8>| place.is_none_or(|b| !b.is_ascii_alphanumeric());
    let before = at.checked_sub(1).and_then(|i| bytes.get(i));
    let rest = bytes.get(at..).filter(|_| alone(before))?;
    if rest.get(..36).is_some_and(is_uuid) && alone(rest.get(36)) {
        return Some(at + 36);
    }
    let word = rest.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let has_letter = rest[..word].iter().any(u8::is_ascii_alphabetic);
    // A span id, a trace id or MD5, SHA-1, SHA-256.
    (matches!(word, 16 | 32 | 40 | 64) && has_letter && alone(rest.get(word))).then_some(at + word)
}

// 8-4-4-4-12 hex digits, a version and the variant that are assigned.
fn is_uuid(text: &[u8]) -> bool {
    text.iter().enumerate().all(|(i, b)| match i {
        8 | 13 | 18 | 23 => *b == b'-',
        14 => (b'1'..=b'8').contains(b),
        19 => matches!(b, b'8' | b'9' | b'a' | b'b' | b'A' | b'B'),
        _ => b.is_ascii_hexdigit(),
    })
}

fn looks_like_card_number(digits: &str) -> bool {
    number::LENGTHS.contains(&digits.len())
        && number::state(digits) == number::State::Valid
        && Brand::of(digits) != Brand::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_numbers_and_leaves_the_rest() {
        for hit in [
            "4242424242424242",
            "a4242 4242 4242 4242b",
            "x=4242-4242-4242-4242;",
            "/v1/378282246310005",
            // Not UUIDs: a variant that is not assigned, a digit too many.
            "aaaaaaaa-4242-4242-4242-4242aaaaaaaa",
            "aaaaaaaa-aaaa-4aaa-8aaa-4242424242424242",
            // Nor digests: no letter, a length of none.
            "42424242-42424242",
            "a4242424242424242",
        ] {
            assert!(holds_card_number(hit), "{hit}");
        }
        for miss in [
            "",
            "4242424242424241",
            "42424242424242420",
            "order_1796083200",
            "+49 170 1234567",
            "2026-11-21",
            // Its first sixteen digits are a number of a brand with a right check digit.
            "/order-status/42424242-4242-4242-8242-424242424242",
            "stripe-node-retry-a2424242-4242-4242-8242-42424242424b",
            // A trace of its own, and one that the digits before it would complete.
            "00-4242424242424242aaaaaaaaaaaaaaaa-a424242424242424-01",
            "42424242-4242424aaaaaaaaa",
            "sha256:4242424242424242aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(!holds_card_number(miss), "{miss}");
        }
    }

    #[test]
    fn masks_all_but_the_last_four() {
        assert_eq!(
            mask("card 4242 4242 4242 4242."),
            "card **** **** **** 4242."
        );
        assert_eq!(mask("ü378282246310005"), "ü***********0005");
        assert_eq!(mask("nothing 123"), "nothing 123");
    }
}
