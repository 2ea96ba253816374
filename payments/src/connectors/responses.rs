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
    /// What may be done after it.
    pub class: Class,
    /// `do_not_try_again`, `try_again_later` or `confirm_card_data`.
    pub advice: &'static str,
}

/// What may be done after a decline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Never again with this card's details: Visa's category 1, and what the issuer says of the card itself.
    Hard,
    /// The issuer was not reached or did not understand this acquirer: another one may be asked at once.
    Soft,
    /// The issuer's own no for now: the same answer everywhere, perhaps another one another day.
    Later,
    /// The issuer wants the buyer authenticated.
    Authentication,
}

/// Visa's category 1 (Core Rules: the issuer will never approve): no reattempt, at any acquirer.
pub const NEVER_AGAIN: [&str; 12] = [
    "04", "07", "12", "14", "15", "41", "43", "46", "57", "R0", "R1", "R3",
];

/// The retry table.
fn class_of(response_code: &str) -> Class {
    match response_code {
        // Invalid merchant, system troubles and the like: of this route, not of the card.
        "03" | "06" | "19" | "58" | "91" | "92" | "96" | "N0" => Class::Soft,
        "65" | "1A" => Class::Authentication,
        "54" | "59" | "62" => Class::Hard,
        code if NEVER_AGAIN.contains(&code) => Class::Hard,
        _ => Class::Later,
    }
}

const DECLINED: &str = "Your card was declined.";
const PROCESSING: &str = "An error occurred while processing your card. Try again in a little bit.";

/// The decline that nobody sent: the payment could not be made just now.
pub const PROCESSING_ERROR: Decline = Decline {
    code: "processing_error",
    decline_code: "processing_error",
    message: PROCESSING,
    class: Class::Soft,
    advice: "try_again_later",
};

/// The decline that a response code stands for. An unlisted code is a generic decline.
pub fn decline(response_code: &str) -> Decline {
    let (code, decline_code, message, advice) = match response_code {
        "03" | "06" | "19" | "58" | "91" | "92" | "96" | "N0" => return PROCESSING_ERROR,
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
        class: class_of(response_code),
        advice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_class() {
        for (codes, class) in [
            ("41 43 04 07 14 15 57 R0 R1 R3 54 59", Class::Hard),
            ("91 96 06 92 19 03 58", Class::Soft),
            ("65 1A", Class::Authentication),
            ("51 05 61 82 N7 ZZ", Class::Later),
        ] {
            for code in codes.split(' ') {
                assert_eq!(decline(code).class, class, "{code}");
            }
        }
    }

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
