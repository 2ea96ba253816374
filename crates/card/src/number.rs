//! The card number as a buyer types it: digits, grouping, and how far it has got.

use crate::{Brand, luhn};

/// Shortest and longest card number (ISO/IEC 7812-1 allows up to 19).
pub const LENGTHS: std::ops::RangeInclusive<usize> = 12..=19;

/// How far a number has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing typed.
    Empty,
    /// May still become a number.
    Incomplete,
    /// Has a length of its brand and a right check digit.
    Valid,
    /// Cannot be a number: the check digit is wrong at the longest length, or it is too long.
    Invalid,
}

/// The state of `digits` (digits only).
#[must_use]
pub fn state(digits: &str) -> State {
    if digits.is_empty() {
        return State::Empty;
    }
    let facts = Brand::of(digits).facts();
    let longest = facts.lengths.last().copied().unwrap_or(19);
    match facts.lengths.contains(&digits.len()) {
        true if luhn::is_valid(digits) => State::Valid,
        _ if digits.len() >= longest => State::Invalid,
        _ => State::Incomplete,
    }
}

/// Whether a buyer who leaves the field here has made a mistake, as opposed to not being done: a full length of
/// the brand with a wrong check digit reads as a mistake even where a longer number exists.
#[must_use]
pub fn is_mistyped(digits: &str) -> bool {
    match state(digits) {
        State::Invalid => true,
        State::Incomplete => {
            let common = if Brand::of(digits) == Brand::Unknown {
                16
            } else {
                shortest_common(digits)
            };
            digits.len() >= common
        }
        State::Empty | State::Valid => false,
    }
}

// Visa lists 13 and 19, yet 16 is what people hold.
fn shortest_common(digits: &str) -> usize {
    let lengths = Brand::of(digits).facts().lengths;
    if lengths.contains(&16) {
        16
    } else {
        lengths.first().copied().unwrap_or(16)
    }
}

/// Keeps the digits of what was typed or pasted, at most `max` of them. Arabic-Indic, Persian, Devanagari and
/// full-width digits become ASCII.
#[must_use]
pub fn digits_of(text: &str, max: usize) -> String {
    text.chars().filter_map(ascii_digit).take(max).collect()
}

/// The ASCII digit that `c` stands for, in the scripts card holders type.
#[must_use]
pub fn ascii_digit(c: char) -> Option<char> {
    const ZEROS: [u32; 5] = ['0' as u32, 0x0660, 0x06F0, 0x0966, 0xFF10];
    let code = c as u32;
    let zero = ZEROS
        .iter()
        .find(|zero| (**zero..**zero + 10).contains(&code))?;
    char::from_u32('0' as u32 + code - zero)
}

/// `digits` with the spaces its brand prints.
#[must_use]
pub fn group(digits: &str) -> String {
    let gaps = Brand::of(digits).gaps(digits.len());
    let mut out = String::with_capacity(digits.len() + 4);
    for (i, c) in digits.chars().enumerate() {
        if gaps.contains(&i) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// The last four digits, all that a receipt may show beside the brand (PCI DSS 3.4.1 allows BIN and last four).
#[must_use]
pub fn last4(digits: &str) -> &str {
    digits.get(digits.len().saturating_sub(4)..).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states() {
        for (digits, expected) in [
            ("", State::Empty),
            ("4", State::Incomplete),
            ("4242424242424242", State::Valid),
            ("4242424242424241", State::Incomplete), // a 19-digit Visa may begin so
            ("5555555555554445", State::Invalid),
            ("378282246310005", State::Valid),
            ("37828224631000", State::Incomplete),
            ("55555555555544444", State::Invalid),
        ] {
            assert_eq!(state(digits), expected, "{digits}");
        }
    }

    #[test]
    fn a_wrong_visa_is_a_mistake_once_the_buyer_leaves() {
        assert!(is_mistyped("4242424242424241"));
        assert!(!is_mistyped("424242424242"));
        assert!(!is_mistyped("4242424242424242"));
        assert!(!is_mistyped(""));
        assert!(is_mistyped("378282246310006"));
    }

    #[test]
    fn grouping_by_brand() {
        assert_eq!(group("4242424242424242"), "4242 4242 4242 4242");
        assert_eq!(group("378282246310005"), "3782 822463 10005");
        assert_eq!(group("30569309025904"), "3056 930902 5904");
        assert_eq!(group("42424"), "4242 4");
        assert_eq!(group(""), "");
    }

    #[test]
    fn digits_from_what_people_type() {
        assert_eq!(digits_of("4242-4242 4242.4242", 19), "4242424242424242");
        assert_eq!(digits_of("٤٢ ۴۲ ४२ ４２", 19), "42424242");
        assert_eq!(digits_of("12345", 3), "123");
        assert_eq!(digits_of("no", 3), "");
    }
}
