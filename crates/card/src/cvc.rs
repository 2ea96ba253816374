//! The card verification value: its length follows the brand (Amex prints four digits on the front).

use crate::Brand;

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

/// The state of `digits` for a card of `brand`. An unknown brand takes three or four.
#[must_use]
pub fn state(digits: &str, brand: Brand) -> State {
    let wanted = usize::from(brand.facts().cvc_length);
    let longest = if brand == Brand::Unknown { 4 } else { wanted };
    match digits.len() {
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
            assert_eq!(state(digits, brand), expected, "{digits} {brand:?}");
        }
    }
}
