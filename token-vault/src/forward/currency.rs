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
    let digits = format!("{amount:0width$}", width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    format!("{whole}.{part}")
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
        ] {
            assert_eq!(decimal(amount, currency), text);
        }
    }
}
