//! The published test tokens, by the names that people know from Stripe's documentation: `tok_visa`, `tok_chargeDeclined`..
//! In test mode each stands for a published test card and never burns; live mode has none of them. What a card answers
//! is the acquirer's (`docs/acquirer-sim.md`).

use card::{Expiry, Month};
use pan::{CardData, Cvv, Pan};
use vault_api::keys::Mode;

/// Name and number.
static CARDS: &[(&str, &str)] = &[
    ("tok_visa", "4242424242424242"),
    ("tok_visa_debit", "4000056655665556"),
    ("tok_mastercard", "5555555555554444"),
    ("tok_mastercard_debit", "5200828282828210"),
    ("tok_mastercard_prepaid", "5105105105105100"),
    ("tok_amex", "378282246310005"),
    ("tok_discover", "6011111111111117"),
    ("tok_diners", "3056930009020004"),
    ("tok_jcb", "3566002020360505"),
    ("tok_unionpay", "6200000000000005"),
    ("tok_chargeDeclined", "4000000000000002"),
    ("tok_chargeDeclinedInsufficientFunds", "4000000000009995"),
    ("tok_chargeDeclinedLostCard", "4000000000009987"),
    ("tok_chargeDeclinedStolenCard", "4000000000009979"),
    ("tok_chargeDeclinedExpiredCard", "4000000000000069"),
    ("tok_chargeDeclinedIncorrectCvc", "4000000000000127"),
    ("tok_chargeDeclinedProcessingError", "4000000000000119"),
    ("tok_chargeDeclinedFraudulent", "4100000000000019"),
    ("tok_visa_chargeDeclined", "4000000000000002"),
    (
        "tok_visa_chargeDeclinedInsufficientFunds",
        "4000000000009995",
    ),
    ("tok_visa_chargeDeclinedLostCard", "4000000000009987"),
    ("tok_visa_chargeDeclinedStolenCard", "4000000000009979"),
    ("tok_chargeCustomerFail", "4000000000000341"),
    ("tok_radarBlock", "4100000000000019"),
    ("tok_riskLevelElevated", "4000000000009235"),
    ("tok_riskLevelHighest", "4000000000004954"),
    ("tok_cvcCheckFail", "4000000000000101"),
    ("tok_avsFail", "4000000000000010"),
    ("tok_avsLine1Fail", "4000000000000028"),
    ("tok_avsZipFail", "4000000000000036"),
    ("tok_createDispute", "4000000000000259"),
    ("tok_createDisputeProductNotReceived", "4000000000002685"),
    ("tok_createDisputeInquiry", "4000000000001976"),
    ("tok_pendingRefund", "4000000000007726"),
    ("tok_refundFail", "4000000000005126"),
    ("tok_bypassPending", "4000000000000077"),
    ("tok_bypassPendingInternational", "4000003720000278"),
    ("tok_threeDSecure2Required", "4000000000003220"),
    ("tok_threeDSecureRequired", "4000000000003063"),
    ("tok_threeDSecureOptional", "4000000000003055"),
    ("tok_threeDSecureRequiredChargeDeclined", "4000008400001629"),
    ("tok_authenticationRequired", "4000002760003184"),
    ("tok_authenticationRequiredOnSetup", "4000002500003155"),
];

/// The card that a published token stands for in this mode: it expires at the end of next year, and brings a security code.
#[must_use]
pub fn card(name: &str, mode: Mode, now: i64) -> Option<CardData> {
    if mode != Mode::Test {
        return None;
    }
    let (_, digits) = CARDS.iter().find(|(known, _)| *known == name)?;
    let number = Pan::parse(digits).ok()?;
    let code = if number.brand() == card::Brand::Amex {
        "1234"
    } else {
        "123"
    };
    Some(CardData {
        cvc: Cvv::parse(code, number.brand()).ok(),
        expiry: Expiry::new(Month::of_unix(now).year() + 1, 12)?,
        number,
        name: None,
        postal_code: None,
        country: None,
        network: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_one_test_card() {
        for (at, (name, _)) in CARDS.iter().enumerate() {
            let card = card(name, Mode::Test, 1_795_000_000).expect("a card");
            assert!(card.number.is_test_number(), "{name}");
            assert!(card.cvc.is_some(), "{name}");
            assert!(
                CARDS[at + 1..].iter().all(|(other, _)| other != name),
                "{name}"
            );
            assert!(vault_api::Token::parse(name).is_err(), "{name}");
        }
        assert!(card("tok_nobody", Mode::Test, 0).is_none());
        assert!(card("tok_visa", Mode::Live, 0).is_none());
    }
}
