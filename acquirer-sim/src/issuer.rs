//! The issuers: what each published test card answers (ISO 8583 response codes, field 39).

use card::{Brand, Month};
use pan::CardData;

use crate::cards::Address;

/// `00`: approved.
pub(crate) const APPROVED: &str = "00";
/// `14`: no such card number.
pub(crate) const NO_SUCH_CARD: &str = "14";
/// `12`: the message does not fit the payment's state.
pub(crate) const INVALID_TRANSACTION: &str = "12";
/// `61`: more than there is to take or to give back.
pub(crate) const EXCEEDS_AMOUNT: &str = "61";

const EXPIRED: &str = "54";

/// Cards that do not simply approve. Every other valid number does, of whatever brand.
static RULES: &[(&str, &str)] = &[
    ("4000000000000002", "05"), // do not honour
    ("4000000000009995", "51"), // insufficient funds
    ("4000000000000069", EXPIRED),
    ("4000000000000127", "82"), // wrong CVV
    ("4000000000000119", "96"), // system malfunction
    ("4000000000000341", "05"), // can be saved, and fails whenever it is charged
    ("4000000000009987", "41"), // lost
    ("4000000000009979", "43"), // stolen
    ("4100000000000019", "59"), // suspected fraud
    // What they answer once the cardholder is authenticated; who wants that is in `three_ds::cards`.
    ("4000008400001629", "05"),
    ("4000008260003178", "51"),
];

/// Cards whose CVV never matches: the first declines for it, the second only reports it.
static CVV_MISMATCHES: &[&str] = &["4000000000000127", "4000000000000101"];

/// Cards whose address never matches, of the first line and of the postal code.
static AVS_MISMATCHES: &[(&str, bool, bool)] = &[
    ("4000000000000010", false, false),
    ("4000000000000028", false, true),
    ("4000000000000036", true, false),
];

/// Cards whose holder disputes what was taken: at which stage, and the scheme's reason.
static DISPUTES: &[(&str, Stage, &str)] = &[
    ("4000000000000259", Stage::Chargeback, "10.4"), // fraud, card absent
    ("4000000000002685", Stage::Chargeback, "13.1"), // goods not received
    ("4000000000001976", Stage::Inquiry, "10.4"),
];

/// Cards whose refunds do not end with their answer.
static REFUNDS: &[(&str, Course)] = &[
    ("4000000000007726", Course::Late),
    ("4000000000005126", Course::Returned),
];

/// What becomes of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// It is pending, and done later.
    Late,
    /// It is done, and comes back later.
    Returned,
}

impl Course {
    /// Its name in the book.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Returned => "returned",
        }
    }
}

/// How a dispute begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The issuer asks; no money moves.
    Inquiry,
    /// The issuer takes the money back.
    Chargeback,
}

/// An issuer's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Response code.
    pub(crate) code: &'static str,
    /// `M` match, `N` no match, `P` not processed (none came), `U` the issuer cannot tell.
    pub(crate) cvc_result: &'static str,
    /// The scheme's letter: the same letter means different things at Visa and at Discover.
    pub(crate) avs_result: &'static str,
    /// Whether a capture will be disputed.
    pub(crate) dispute: Option<(Stage, &'static str)>,
    /// What becomes of its refunds, if they do not end with their answer.
    pub(crate) refunds: Option<Course>,
}

impl Decision {
    /// The answer for a number that no issuer knows.
    pub(crate) fn no_such_card() -> Self {
        Self {
            code: NO_SUCH_CARD,
            cvc_result: "U",
            avs_result: "U",
            dispute: None,
            refunds: None,
        }
    }

    /// Whether the money is there.
    pub(crate) fn is_approved(self) -> bool {
        self.code == APPROVED
    }
}

/// Decides on a card. `today` is the month in the zone furthest behind: a card is good until its month has ended.
#[expect(
    clippy::disallowed_methods,
    reason = "the issuer looks its card up by number; the answer holds a code and no digit"
)]
pub(crate) fn decide(card: &CardData, address: &Address, today: Month) -> Decision {
    let number = card.number.expose();
    let cvc_result = match card.cvc {
        None => "P",
        Some(_) if CVV_MISMATCHES.contains(&number) => "N",
        Some(_) => "M",
    };
    let rule = RULES.iter().find(|(of, _)| *of == number);
    let code = match rule {
        Some((_, code)) => code,
        None if card.expiry < today => EXPIRED,
        None => APPROVED,
    };
    let mismatch = AVS_MISMATCHES.iter().find(|(of, ..)| *of == number);
    let matches = mismatch.map(|(_, line1, postal)| (*line1, *postal));
    // Only what was sent can match. A card that never matches does not without an address either.
    let compared = if address.is_there() {
        let (line1, postal) = matches.unwrap_or((true, true));
        Some((
            line1 && address.has_line1(),
            postal && address.has_postal_code(),
        ))
    } else {
        matches
    };
    let avs_result = compared.map_or("U", |(line1, postal)| {
        avs_letter(card.number.brand(), line1, postal)
    });
    let dispute = DISPUTES.iter().find(|(of, ..)| *of == number);
    let refunds = REFUNDS.iter().find(|(of, _)| *of == number);
    Decision {
        code,
        cvc_result,
        avs_result,
        dispute: dispute.map(|(_, stage, reason)| (*stage, *reason)),
        refunds: refunds.map(|(_, course)| *course),
    }
}

/// What a scheme writes for a comparison: Discover's `A` is Visa's `Y`, and the other way round.
fn avs_letter(brand: Brand, line1: bool, postal: bool) -> &'static str {
    match (brand, line1, postal) {
        (_, false, false) => "N",
        (_, false, true) => "Z",
        (Brand::Discover | Brand::Diners, true, false) => "Y",
        (Brand::Discover | Brand::Diners, true, true) | (_, true, false) => "A",
        (_, true, true) => "Y",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pan::{Cvv, Pan};

    fn decision(number: &str, year: u16, cvc: Option<&str>) -> (&'static str, &'static str) {
        let number = Pan::parse(number).expect("a card number");
        let cvc = cvc.map(|text| Cvv::parse(text, number.brand()).expect("a CVV"));
        let card = CardData {
            expiry: Month::new(year, 11).expect("a month"),
            cvc,
            name: None,
            postal_code: None,
            country: None,
            network: None,
            number,
        };
        let today = Month::new(2026, 11).expect("a month");
        let decision = decide(&card, &Address::default(), today);
        (decision.code, decision.cvc_result)
    }

    #[test]
    fn the_table() {
        for (number, code) in [
            ("4242424242424242", "00"),
            ("5555555555554444", "00"),
            ("6011111111111117", "00"),
            ("4000000000000341", "05"),
            ("4000000000000259", "00"),
            ("4000000000000002", "05"),
            ("4000000000009995", "51"),
            ("4000000000000069", "54"),
            ("4000000000000119", "96"),
            ("4000000000009987", "41"),
            ("4000000000009979", "43"),
            ("4100000000000019", "59"),
            ("4000002500003155", "00"),
            ("4000008400001629", "05"),
        ] {
            assert_eq!(decision(number, 2030, Some("123")), (code, "M"), "{number}");
        }
        assert_eq!(decision("378282246310005", 2030, Some("1234")), ("00", "M"));
    }

    #[test]
    fn the_cvv() {
        assert_eq!(decision("4242424242424242", 2030, None), ("00", "P"));
        assert_eq!(decision("4000000000000127", 2030, Some("123")), ("82", "N"));
        assert_eq!(decision("4000000000000101", 2030, Some("123")), ("00", "N"));
    }

    fn letter(number: &str, address: &Address) -> &'static str {
        let card = CardData {
            number: Pan::parse(number).expect("a card number"),
            expiry: Month::new(2030, 1).expect("a month"),
            cvc: None,
            name: None,
            postal_code: None,
            country: None,
            network: None,
        };
        decide(&card, address, Month::new(2026, 11).expect("a month")).avs_result
    }

    #[test]
    fn the_address() {
        let address = Address {
            line1: Some("1 High Street".to_owned()),
            postal_code: Some("12345".to_owned()),
        };
        for (number, there, absent) in [
            ("4242424242424242", "Y", "U"),
            ("6011111111111117", "A", "U"),
            ("4000000000000010", "N", "N"),
            ("4000000000000028", "Z", "Z"),
            ("4000000000000036", "A", "A"),
        ] {
            assert_eq!(letter(number, &address), there, "{number}");
            assert_eq!(letter(number, &Address::default()), absent, "{number}");
        }
    }

    #[test]
    fn only_what_was_sent_is_compared() {
        for (number, line1, postal_code, wanted) in [
            ("4242424242424242", Some("1 High Street"), None, "A"),
            ("4242424242424242", Some(""), Some("12345"), "Z"),
            ("4000000000000028", None, Some("12345"), "Z"),
            ("4000000000000028", Some("1 High Street"), None, "N"),
            ("4000000000000036", Some("1 High Street"), None, "A"),
            ("4000000000000036", None, Some("12345"), "N"),
        ] {
            let address = Address {
                line1: line1.map(str::to_owned),
                postal_code: postal_code.map(str::to_owned),
            };
            assert_eq!(letter(number, &address), wanted, "{number}");
        }
    }

    #[test]
    fn the_expiry() {
        assert_eq!(decision("4242424242424242", 2026, None).0, "00");
        assert_eq!(decision("4242424242424242", 2025, None).0, "54");
    }
}
