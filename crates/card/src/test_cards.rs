//! The documented test ranges: what test mode takes and live mode refuses.

use crate::luhn;

/// Prefixes of the published test numbers (the ones people know from Stripe's documentation) and of the ranges
/// that tests may draw from: `424242`, `400000`, `555555`, `378282`.
pub const RANGES: [&str; 4] = ["424242", "400000", "555555", "378282"];

/// Published test numbers outside [`RANGES`].
pub const NUMBERS: [&str; 15] = [
    "4000056655665556",
    "4012888888881881",
    "4100000000000019",
    "2223003122003222",
    "5200828282828210",
    "5105105105105100",
    "371449635398431",
    "6011111111111117",
    "6011000990139424",
    "3056930009020004",
    "30569309025904",
    "36227206271667",
    "3566002020360505",
    "6200000000000005",
    "6304000000000000",
];

/// The published test numbers, of which those of the test ranges are but samples.
pub fn published() -> impl Iterator<Item = &'static str> {
    const OF_RANGES: [&str; 4] = [
        "4242424242424242",
        "4000002500003155",
        "5555555555554444",
        "378282246310005",
    ];
    NUMBERS.into_iter().chain(OF_RANGES)
}

/// Whether test mode takes this number: a published one, or any number of a test range that passes Luhn.
#[must_use]
pub fn is_test_number(digits: &str) -> bool {
    NUMBERS.contains(&digits)
        || (luhn::is_valid(digits) && RANGES.iter().any(|range| digits.starts_with(range)))
}

/// The risk that a published test number stands for, where it is not a normal one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Risk {
    /// A review may be wanted.
    Elevated,
    /// The payment is blocked by any sensible rule.
    Highest,
}

/// The risk of a test number, as Stripe's documentation has it; None for a normal one.
#[must_use]
pub fn risk(digits: &str) -> Option<Risk> {
    match digits {
        "4000000000009235" => Some(Risk::Elevated),
        "4000000000004954" | "4100000000000019" => Some(Risk::Highest),
        _ => None,
    }
}

/// Whether what a charge of this test number brings is available at once, as Stripe's documentation has it.
#[must_use]
pub fn is_available_at_once(digits: &str) -> bool {
    matches!(digits, "4000000000000077" | "4000003720000278")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_numbers() {
        for n in [
            "4242424242424242",
            "4000000000000002",
            "4000002500003155",
            "5555555555554444",
            "378282246310005",
        ] {
            assert!(is_test_number(n), "{n}");
        }
        for n in [
            "4242424242424241",
            "4111111111111111",
            "",
            "5454545454545454",
        ] {
            assert!(!is_test_number(n), "{n}");
        }
    }

    #[test]
    fn a_few_test_numbers_stand_for_a_risk() {
        for (n, expected) in [
            ("4000000000009235", Some(Risk::Elevated)),
            ("4000000000004954", Some(Risk::Highest)),
            ("4100000000000019", Some(Risk::Highest)),
            ("4242424242424242", None),
        ] {
            assert_eq!(risk(n), expected, "{n}");
            assert!(is_test_number(n), "{n}");
        }
    }

    #[test]
    fn a_few_test_numbers_are_available_at_once() {
        for (n, expected) in [
            ("4000000000000077", true),
            ("4000003720000278", true),
            ("4242424242424242", false),
        ] {
            assert_eq!(is_available_at_once(n), expected, "{n}");
            assert!(is_test_number(n), "{n}");
        }
    }

    #[test]
    fn published_numbers_are_real_card_numbers() {
        for n in NUMBERS {
            assert!(
                crate::number::state(n) == crate::number::State::Valid,
                "{n}"
            );
        }
    }
}
