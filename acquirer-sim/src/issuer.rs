//! The issuers: what each published test card answers (ISO 8583 response codes, field 39).

use card::Month;
use pan::CardData;

/// `00`: approved.
pub(crate) const APPROVED: &str = "00";
/// `14`: no such card number.
pub(crate) const NO_SUCH_CARD: &str = "14";
/// `12`: the message does not fit the payment's state.
pub(crate) const INVALID_TRANSACTION: &str = "12";
/// `61`: more than there is to take or to give back.
pub(crate) const EXCEEDS_AMOUNT: &str = "61";

const EXPIRED: &str = "54";

/// Cards that do not simply approve. Every other valid number does, of whatever brand; so do
/// 4000000000000341 (fails when it is charged later) and 4000000000000259 (is disputed later).
static RULES: &[(&str, &str)] = &[
    ("4000000000000002", "05"), // do not honour
    ("4000000000009995", "51"), // insufficient funds
    ("4000000000000069", EXPIRED),
    ("4000000000000127", "82"), // wrong CVV
    ("4000000000000119", "96"), // system malfunction
    ("4000000000009987", "41"), // lost
    ("4000000000009979", "43"), // stolen
    ("4100000000000019", "59"), // suspected fraud
    // What they answer once the cardholder is authenticated; who wants that is in `three_ds::cards`.
    ("4000008400001629", "05"),
    ("4000008260003178", "51"),
];

/// Cards whose CVV never matches: the first declines for it, the second only reports it.
static CVV_MISMATCHES: &[&str] = &["4000000000000127", "4000000000000101"];

/// An issuer's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Response code.
    pub(crate) code: &'static str,
    /// `M` match, `N` no match, `P` not processed (none came), `U` the issuer cannot tell.
    pub(crate) cvc_result: &'static str,
    /// `U`: no address comes in this message.
    pub(crate) avs_result: &'static str,
}

impl Decision {
    /// The answer for a number that no issuer knows.
    pub(crate) fn no_such_card() -> Self {
        Self {
            code: NO_SUCH_CARD,
            cvc_result: "U",
            avs_result: "U",
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
pub(crate) fn decide(card: &CardData, today: Month) -> Decision {
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
    Decision {
        code,
        cvc_result,
        avs_result: "U",
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
        let decision = decide(&card, today);
        (decision.code, decision.cvc_result)
    }

    #[test]
    fn the_table() {
        for (number, code) in [
            ("4242424242424242", "00"),
            ("5555555555554444", "00"),
            ("6011111111111117", "00"),
            ("4000000000000341", "00"),
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

    #[test]
    fn the_expiry() {
        assert_eq!(decision("4242424242424242", 2026, None).0, "00");
        assert_eq!(decision("4242424242424242", 2025, None).0, "54");
    }
}
