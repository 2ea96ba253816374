//! What an answer of the vault other than a token means: try again unseen, blame a field, or tell the page.

use crate::form::Fault;

/// Whether a new field session and a new seal may cure it. The buyer does not see this happen.
#[must_use]
pub fn is_cured_by_new_session(code: &str) -> bool {
    matches!(
        code,
        "session_invalid" | "sealing_key_unknown" | "sealed_card_replayed"
    )
}

/// The field the vault found at fault.
#[must_use]
pub fn fault(code: &str) -> Option<Fault> {
    match code {
        "invalid_number" => Some(Fault::NumberInvalid),
        "live_card_in_test_mode" => Some(Fault::LiveCardInTestMode),
        "test_card_in_live_mode" => Some(Fault::TestCardInLiveMode),
        "funding_not_allowed" => Some(Fault::FundingNotAllowed),
        "invalid_expiry" => Some(Fault::ExpiryInvalid),
        "expired_card" => Some(Fault::ExpiryPast),
        "invalid_cvc" => Some(Fault::CvcInvalid),
        "invalid_name" => Some(Fault::NameInvalid),
        "invalid_postal_code" => Some(Fault::PostalCodeInvalid),
        _ => None,
    }
}

/// The `type` of the error that the page receives, as Stripe.js names them.
#[must_use]
pub fn kind(status: u16) -> &'static str {
    match status {
        0 => "api_connection_error",
        402 => "card_error",
        // Work that was not done in time is a limit, too.
        428 | 429 => "rate_limit_error",
        401 | 403 => "authentication_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault_api::Code;

    #[test]
    fn every_card_error_of_the_vault_that_names_a_field_finds_it() {
        for code in Code::ALL.iter().filter(|code| code.status() == 402) {
            // What the buyer picks from a list is right or the page's fault.
            let expected = !matches!(code, Code::InvalidCountry | Code::InvalidNetwork);
            assert_eq!(fault(code.as_str()).is_some(), expected, "{code:?}");
        }
    }

    #[test]
    fn exactly_the_stale_ones_are_cured() {
        let cured: Vec<_> = Code::ALL
            .iter()
            .filter(|code| is_cured_by_new_session(code.as_str()))
            .collect();
        assert_eq!(
            cured,
            [
                &Code::SessionInvalid,
                &Code::SealedCardReplayed,
                &Code::SealingKeyUnknown
            ]
        );
    }

    #[test]
    fn kinds() {
        for (status, expected) in [
            (0, "api_connection_error"),
            (402, "card_error"),
            (403, "authentication_error"),
            (422, "invalid_request_error"),
            (428, "rate_limit_error"),
            (429, "rate_limit_error"),
            (503, "api_error"),
        ] {
            assert_eq!(kind(status), expected, "{status}");
        }
    }
}
