//! Issuer response codes (ISO 8583) in Stripe's words.

/// A decline: what the merchant's code and the buyer are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decline {
    /// Stripe's error code.
    pub code: &'static str,
    /// Stripe's decline code.
    pub decline_code: &'static str,
    /// Stripe's sentence to the buyer.
    pub message: &'static str,
    /// The issuer or the network could not answer just now: another acquirer may be asked.
    pub elsewhere: bool,
    /// `do_not_try_again`, `try_again_later` or `confirm_card_data`.
    pub advice: &'static str,
}

const DECLINED: &str = "Your card was declined.";
const PROCESSING: &str = "An error occurred while processing your card. Try again in a little bit.";

/// The decline that nobody sent: the payment could not be made just now.
pub const PROCESSING_ERROR: Decline = Decline {
    code: "processing_error",
    decline_code: "processing_error",
    message: PROCESSING,
    elsewhere: true,
    advice: "try_again_later",
};

/// The decline that a response code stands for. An unlisted code is a generic decline.
pub fn decline(response_code: &str) -> Decline {
    let (code, decline_code, message, advice) = match response_code {
        "96" | "91" | "06" => return PROCESSING_ERROR,
        "51" => (
            "card_declined",
            "insufficient_funds",
            "Your card has insufficient funds.",
            "try_again_later",
        ),
        "54" => (
            "expired_card",
            "expired_card",
            "Your card has expired.",
            "do_not_try_again",
        ),
        "82" | "N7" => (
            "incorrect_cvc",
            "incorrect_cvc",
            "Your card's security code is incorrect.",
            "confirm_card_data",
        ),
        "14" => (
            "incorrect_number",
            "incorrect_number",
            "Your card number is incorrect.",
            "confirm_card_data",
        ),
        "41" => ("card_declined", "lost_card", DECLINED, "do_not_try_again"),
        "43" => ("card_declined", "stolen_card", DECLINED, "do_not_try_again"),
        "04" | "07" => ("card_declined", "pickup_card", DECLINED, "do_not_try_again"),
        "59" => ("card_declined", "fraudulent", DECLINED, "do_not_try_again"),
        "57" | "62" => (
            "card_declined",
            "transaction_not_allowed",
            DECLINED,
            "do_not_try_again",
        ),
        "61" => (
            "card_declined",
            "withdrawal_count_limit_exceeded",
            DECLINED,
            "try_again_later",
        ),
        "65" | "1A" => (
            "authentication_required",
            "authentication_required",
            "Your card was declined. This transaction requires authentication.",
            "confirm_card_data",
        ),
        _ => (
            "card_declined",
            "generic_decline",
            DECLINED,
            "try_again_later",
        ),
    };
    Decline {
        code,
        decline_code,
        message,
        elsewhere: false,
        advice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_codes_become_stripes_words() {
        for (code, expected) in [
            (
                "05",
                (
                    "card_declined",
                    "generic_decline",
                    "Your card was declined.",
                ),
            ),
            (
                "51",
                (
                    "card_declined",
                    "insufficient_funds",
                    "Your card has insufficient funds.",
                ),
            ),
            (
                "54",
                ("expired_card", "expired_card", "Your card has expired."),
            ),
            (
                "82",
                (
                    "incorrect_cvc",
                    "incorrect_cvc",
                    "Your card's security code is incorrect.",
                ),
            ),
            (
                "41",
                ("card_declined", "lost_card", "Your card was declined."),
            ),
            (
                "43",
                ("card_declined", "stolen_card", "Your card was declined."),
            ),
            ("96", ("processing_error", "processing_error", PROCESSING)),
            (
                "ZZ",
                (
                    "card_declined",
                    "generic_decline",
                    "Your card was declined.",
                ),
            ),
        ] {
            let decline = decline(code);
            assert_eq!(
                (decline.code, decline.decline_code, decline.message),
                expected,
                "{code}"
            );
        }
    }
}
