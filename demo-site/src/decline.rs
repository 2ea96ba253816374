//! What the buyer reads when a payment did not go through: the gateway's sentence and advice that fits the reason.

/// The sentence for a decline: the gateway's message, made for buyers, and what to do next.
pub(crate) fn words(reason: &str, message: &str) -> String {
    // The message came over the network; nothing that looks like a card number goes on to the page or the database.
    let message: String = card::filter::mask(message).chars().take(200).collect();
    let message = message.trim();
    let message = if message.is_empty() {
        "Your card was declined."
    } else {
        message
    };
    format!("{message} {}", advice(reason))
}

fn advice(reason: &str) -> &'static str {
    match reason {
        "insufficient_funds" => "You have not been charged. Try again with another card.",
        "expired_card" => {
            "Please update your card: check the expiry date, or use one that is still valid."
        }
        "incorrect_cvc" | "invalid_cvc" => "Check the security code and try again.",
        "incorrect_number" | "invalid_number" => "Check the card number and try again.",
        // The sentence itself says to try again in a moment.
        "processing_error" => "You have not been charged.",
        "try_again_later" | "issuer_not_available" => {
            "You have not been charged. Please try again in a moment."
        }
        "authentication_required" => {
            "Your bank wants to confirm such a payment and could not. Please use another card."
        }
        "payment_intent_authentication_failure" | "authentication_abandoned" => {
            "You have not been charged. Try again, or use another card."
        }
        // Lost, stolen, suspected of fraud: what the bank thinks of its customer is not for us to tell.
        _ => "Please contact your bank, or use another card.",
    }
}

/// A reason as the database keeps it: a short code, or `unspecified`.
pub(crate) fn reason(code: &str) -> String {
    let fits =
        (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if fits { code } else { "unspecified" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_fits_the_reason() {
        for (reason, part) in [
            ("insufficient_funds", "another card"),
            ("expired_card", "update your card"),
            ("do_not_honor", "contact your bank"),
            ("stolen_card", "contact your bank"),
            ("processing_error", "You have not been charged."),
            ("try_again_later", "try again in a moment"),
        ] {
            let words = words(reason, "Your card was declined.");
            assert!(
                words.starts_with("Your card was declined. ") && words.contains(part),
                "{words}"
            );
        }
    }

    #[test]
    fn nothing_like_a_card_number_passes() {
        assert!(!words("x", "card 4242424242424242 declined").contains("42424242"));
        assert_eq!(reason("4242424242424242"), "unspecified");
        assert_eq!(reason("insufficient_funds"), "insufficient_funds");
    }
}
