//! Amounts as text with a currency's decimals (ISO 4217 minor units). No floating point is near an amount.

/// How many decimals a currency has. Almost all have two.
#[must_use]
pub fn minor_units(currency: &str) -> usize {
    match currency {
        "bif" | "clp" | "djf" | "gnf" | "isk" | "jpy" | "kmf" | "krw" | "pyg" | "rwf" | "ugx"
        | "uyi" | "vnd" | "vuv" | "xaf" | "xof" | "xpf" => 0,
        "bhd" | "iqd" | "jod" | "kwd" | "lyd" | "omr" | "tnd" => 3,
        "clf" | "uyw" => 4,
        _ => 2,
    }
}

/// An amount of the smallest unit as a decimal: `1999` of `usd` is `19.99`, of `jpy` `1999`.
#[must_use]
pub fn decimal(amount: i64, currency: &str) -> String {
    let places = minor_units(currency);
    if places == 0 {
        return amount.to_string();
    }
    let digits = format!("{:0width$}", amount.unsigned_abs(), width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    let sign = if amount < 0 { "-" } else { "" };
    format!("{sign}{whole}.{part}")
}

/// The amount that a decimal with just the currency's decimals is; None for any other text.
#[must_use]
pub fn parse_decimal(text: &str, currency: &str) -> Option<i64> {
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or((1, text), |digits| (-1, digits));
    let (whole, part) = match minor_units(currency) {
        0 => (digits, ""),
        places => digits
            .split_once('.')
            .filter(|(_, part)| part.len() == places)?,
    };
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(part) {
        return None;
    }
    let amount: i64 = format!("{whole}{part}").parse().ok()?;
    Some(sign * amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_follow_the_currency() {
        for (amount, currency, text) in [
            (1999, "usd", "19.99"),
            (5, "usd", "0.05"),
            (100, "eur", "1.00"),
            (1999, "jpy", "1999"),
            (1999, "kwd", "1.999"),
            (7, "tnd", "0.007"),
            (i64::MAX, "usd", "92233720368547758.07"),
            (-5, "usd", "-0.05"),
        ] {
            assert_eq!(decimal(amount, currency), text);
            assert_eq!(parse_decimal(text, currency), Some(amount));
        }
        for (text, currency) in [
            ("19.9", "usd"),
            ("19", "usd"),
            (".99", "usd"),
            ("+1.00", "usd"),
            ("1.00", "jpy"),
            ("1e5", "jpy"),
            ("", "jpy"),
            ("99999999999999999999", "jpy"),
        ] {
            assert_eq!(parse_decimal(text, currency), None, "{text}");
        }
    }
}
