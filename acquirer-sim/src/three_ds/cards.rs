//! What each test card's issuer wants of 3-D Secure. A card that is not listed wants nothing and, asked, is
//! authenticated without a challenge.
//!
//! | card | wants authentication | asked, it answers | and then |
//! |---|---|---|---|
//! | 4000 0025 0000 3155 | unless it was set up | challenge | approves |
//! | 4000 0027 6000 3184 | always | challenge | approves |
//! | 4000 0038 0000 0446 | on-session; it is set up | challenge | approves |
//! | 4000 0084 0000 1629 | always | challenge | declines (05) |
//! | 4000 0082 6000 3178 | always | challenge | declines (51) |
//! | 4000 0000 0000 3220, 3063 | always | challenge | approves |
//! | 4000 0000 0000 3055 | no | challenge | approves |
//! | 4000 0000 0000 3097 | no | processing error | approves |
//! | 4000 0084 0000 1280 | always | processing error | declines (1A) |
//! | 4000 0000 0000 3014 | always | `Y`, frictionless | approves |
//! | 4000 0000 0000 3022 | always | `A`, attempted | approves |
//! | 4000 0000 0000 3030 | always | `N`, not authenticated | – |
//! | 4000 0000 0000 3048 | always | `R`, rejected | – |
//! | 4000 0000 0000 3071 | always | `U`, unavailable | declines (1A) |
//! | 4000 0000 0000 3089 | always | challenge, which the issuer ends after three seconds | – |
//! | 5555 5500 0000 3014 | always | `Y`, frictionless | approves |
//! | 5555 5500 0000 3022 | always | challenge | approves |
//! | 3782 822463 10005 and American Express | no | not enrolled | approves |
//!
//! The numbers up to 3097 and 1280 are Stripe's published ones; the rest, ending in 30.. and 3014/3022, are ours.

use card::Brand;
use pan::Pan;

/// When an issuer declines a payment that was not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Never.
    Nothing,
    /// Whenever the cardholder is not authenticated, unless the merchant charges a card that was set up with an
    /// authentication.
    UnlessSetUp,
    /// As before, and every merchant is taken to have set it up.
    OnSession,
    /// Always.
    Always,
}

/// What the issuer answers to an AReq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Frictionless,
    Attempted,
    NotAuthenticated,
    Rejected,
    Unavailable,
    Challenge,
    /// A challenge that the issuer ends by itself after so many seconds.
    ChallengeFor(i64),
    /// An Erro message.
    Error,
    /// The card is in no range that the directory server knows.
    NotEnrolled,
}

use Answer::{
    Attempted, Challenge, ChallengeFor, Error, Frictionless, NotAuthenticated, Rejected,
    Unavailable,
};
use Wants::{Always, Nothing, OnSession, UnlessSetUp};

static CARDS: &[(&str, Wants, Answer)] = &[
    ("4000002500003155", UnlessSetUp, Challenge),
    ("4000002760003184", Always, Challenge),
    ("4000003800000446", OnSession, Challenge),
    ("4000008400001629", Always, Challenge),
    ("4000008260003178", Always, Challenge),
    ("4000000000003220", Always, Challenge),
    ("4000000000003063", Always, Challenge),
    ("4000000000003055", Nothing, Challenge),
    ("4000000000003097", Nothing, Error),
    ("4000008400001280", Always, Error),
    ("4000000000003014", Always, Frictionless),
    ("4000000000003022", Always, Attempted),
    ("4000000000003030", Always, NotAuthenticated),
    ("4000000000003048", Always, Rejected),
    ("4000000000003071", Always, Unavailable),
    ("4000000000003089", Always, ChallengeFor(3)),
    ("5555550000003014", Always, Frictionless),
    ("5555550000003022", Always, Challenge),
];

/// The card's row.
#[expect(
    clippy::disallowed_methods,
    reason = "the issuer looks its card up by number; the answer holds no digit"
)]
pub(crate) fn of(number: &Pan) -> (Wants, Answer) {
    let listed = CARDS.iter().find(|(of, ..)| *of == number.expose());
    match (listed, number.brand()) {
        (Some((_, wants, answer)), _) => (*wants, *answer),
        (None, Brand::Amex) => (Nothing, Answer::NotEnrolled),
        (None, _) => (Nothing, Frictionless),
    }
}

/// The response code of a soft decline: come again with an authentication.
pub(crate) fn soft_decline(brand: &str) -> &'static str {
    if brand == "visa" { "1A" } else { "65" }
}

/// The electronic commerce indicator of an authenticated, an attempted and any other payment, by scheme.
pub(crate) fn eci(brand: &str, status: &str) -> &'static str {
    let mastercard = matches!(brand, "mastercard" | "maestro");
    match (mastercard, status) {
        (true, "Y") => "02",
        (true, "A") => "01",
        (true, _) => "00",
        (false, "Y") => "05",
        (false, "A") => "06",
        (false, _) => "07",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_number_is_a_card_number_that_test_mode_takes() {
        for (number, ..) in CARDS {
            assert!(Pan::parse(number).is_ok(), "{number}");
            assert!(card::test_cards::is_test_number(number), "{number}");
        }
    }

    #[test]
    fn indicators_by_scheme() {
        for (brand, expected) in [
            ("visa", ["05", "06", "07"]),
            ("mastercard", ["02", "01", "00"]),
            ("discover", ["05", "06", "07"]),
        ] {
            assert_eq!(["Y", "A", "U"].map(|status| eci(brand, status)), expected);
        }
    }
}
