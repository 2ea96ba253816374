//! The card verification value: its length follows the brand (Amex prints four digits on the front).

use crate::own::Kind;

/// How far a CVV has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing typed.
    Empty,
    /// Shorter than the brand's.
    Incomplete,
    /// The brand's length.
    Valid,
    /// Longer than the brand's, or not digits.
    Invalid,
}

/// The state of `digits` for a card of this kind. An unknown brand takes three or four; a merchant's own may have none.
#[must_use]
pub fn state(digits: &str, kind: Kind<'_>) -> State {
    let wanted = usize::from(kind.facts().cvc_length);
    let longest = kind.max_cvc_length();
    match digits.len() {
        0 if longest == 0 => State::Valid,
        0 => State::Empty,
        _ if !digits.bytes().all(|b| b.is_ascii_digit()) => State::Invalid,
        n if n < wanted => State::Incomplete,
        n if n <= longest => State::Valid,
        _ => State::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Brand;

    #[test]
    fn length_follows_the_brand() {
        for (digits, brand, expected) in [
            ("", Brand::Visa, State::Empty),
            ("12", Brand::Visa, State::Incomplete),
            ("123", Brand::Visa, State::Valid),
            ("1234", Brand::Visa, State::Invalid),
            ("123", Brand::Amex, State::Incomplete),
            ("1234", Brand::Amex, State::Valid),
            ("123", Brand::Unknown, State::Valid),
            ("1234", Brand::Unknown, State::Valid),
            ("12a", Brand::Visa, State::Invalid),
        ] {
            assert_eq!(state(digits, brand.into()), expected, "{digits} {brand:?}");
        }
    }
}
