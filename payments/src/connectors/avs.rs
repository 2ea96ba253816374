//! AVS and CVV: a scheme's letter as Stripe's pair of checks. The same letter means different things: Discover and Diners write
//! `A` for a full match and `Y` for the address alone.

/// `pass`, `fail`, `unavailable` or `unchecked`, for the address's first line and its postal code.
pub type Checks = (Option<&'static str>, Option<&'static str>);

/// What a letter says.
pub fn checks(brand: Option<&str>, letter: Option<&str>) -> Checks {
    let pair = |line1: &'static str, postal: &'static str| (Some(line1), Some(postal));
    let Some(letter) = letter else {
        return (None, None);
    };
    let swapped = matches!(brand, Some("discover" | "diners"));
    match letter {
        "A" if swapped => pair("pass", "pass"),
        "Y" if swapped => pair("pass", "fail"),
        // Full matches; D, F and M are Visa's international ones, X is nine digits of the code, J, Q and V Amex's.
        "Y" | "X" | "D" | "F" | "M" | "J" | "Q" | "V" => pair("pass", "pass"),
        "A" | "L" | "O" => pair("pass", "fail"),
        // The address matches, the code was not in a form that could be compared.
        "B" => pair("pass", "unavailable"),
        "Z" | "W" | "T" | "K" => pair("fail", "pass"),
        "P" => pair("unavailable", "pass"),
        "N" | "C" => pair("fail", "fail"),
        // R: try again; S, U, G, I, E: the issuer does not do it, or the message did not allow it.
        _ => pair("unavailable", "unavailable"),
    }
}

/// What the issuer says of the security code, in the same words.
pub fn cvc(result: Option<&str>) -> Option<&'static str> {
    Some(match result? {
        "M" => "pass",
        "N" => "fail",
        "P" | "S" => "unchecked",
        _ => "unavailable",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_letters_and_the_two_that_discover_swaps() {
        let full = (Some("pass"), Some("pass"));
        let address = (Some("pass"), Some("fail"));
        let code = (Some("fail"), Some("pass"));
        let neither = (Some("fail"), Some("fail"));
        let none = (Some("unavailable"), Some("unavailable"));
        for (letters, expected) in [
            ("YXDFMJ", full),
            ("A", address),
            ("B", (Some("pass"), Some("unavailable"))),
            ("ZWTK", code),
            ("P", (Some("unavailable"), Some("pass"))),
            ("NC", neither),
            ("RSUGIE", none),
        ] {
            for letter in letters.chars().map(String::from) {
                assert_eq!(checks(Some("visa"), Some(&letter)), expected, "{letter}");
            }
        }
        for brand in ["discover", "diners"] {
            assert_eq!(checks(Some(brand), Some("A")), full);
            assert_eq!(checks(Some(brand), Some("Y")), address);
            assert_eq!(checks(Some(brand), Some("Z")), code);
        }
        assert_eq!(checks(Some("visa"), None), (None, None));
    }
}
