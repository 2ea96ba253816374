//! Currencies (ISO 4217, lower case) and the amounts that are taken in them.

use crate::error::{Error, Refusal};
use crate::http::params::Params;

/// Presentment currencies. Zero-decimal and three-decimal ones are among them: an amount is always an integer of the
/// smallest unit, so nothing here divides by a hundred. Left out are isk, mga and ugx: Stripe's smallest unit of them is
/// not ISO 4217's, so the same number would be another amount.
pub const KNOWN: &str = "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd \
    cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel ghs gip gmd gnf gtq gyd hkd hnl \
    hrk htg huf idr ils inr jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk \
    mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar \
    sbd scr sek sgd shp sle sos srd std svc szl thb tjs tnd top try ttd twd tzs uah usd uyu uzs vnd vuv wst xaf \
    xcd xof xpf yer zar zmw";

/// Stripe's largest amount: eight digits of the smallest unit.
pub const LARGEST: i64 = 99_999_999;

/// Takes `currency`.
pub fn currency(params: &mut Params) -> Result<String, Error> {
    let text = params.required("currency", 10)?.to_ascii_lowercase();
    let known = text.len() == 3 && KNOWN.split_ascii_whitespace().any(|code| code == text);
    if known {
        return Ok(text);
    }
    let message = "Invalid currency: must be a three-letter ISO 4217 code that is supported here.";
    let name = params.name_of("currency");
    Err(Refusal::plain(message).param(name).into())
}

/// Takes an amount named `name`: a positive integer of the smallest unit.
pub fn amount(params: &mut Params, name: &str) -> Result<Option<i64>, Error> {
    let Some(amount) = params.integer(name)? else {
        return Ok(None);
    };
    within_limits(amount, &params.name_of(name))?;
    Ok(Some(amount))
}

/// Refuses an amount that cannot be charged; `name` is the parameter at fault.
pub fn within_limits(amount: i64, name: &str) -> Result<(), Error> {
    if amount < 1 {
        let message = format!("Invalid {name}: must be greater than or equal to 1.");
        return Err(Refusal::new("parameter_invalid_integer", message)
            .param(name)
            .into());
    }
    if amount > LARGEST {
        let message = format!("Invalid {name}: must be no more than {LARGEST}.");
        return Err(Refusal::new("amount_too_large", message).param(name).into());
    }
    Ok(())
}

/// An amount as a buyer reads it: `$18.00`, `¥1800`, `12.345 KWD`.
pub fn shown(amount: i64, currency: &str) -> String {
    let number = card::currency::decimal(amount, currency);
    match currency {
        "usd" => format!("${number}"),
        "eur" => format!("€{number}"),
        "gbp" => format!("£{number}"),
        "jpy" => format!("¥{number}"),
        other => format!("{number} {}", other.to_ascii_uppercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_stripes_unit_is_not_iso_s_nothing_is_taken() {
        let known: Vec<_> = KNOWN.split_ascii_whitespace().collect();
        for currency in ["isk", "mga", "ugx"] {
            assert!(!known.contains(&currency), "{currency}");
        }
    }

    #[test]
    fn amounts_are_shown_with_their_decimals() {
        for (amount, currency, wanted) in [
            (1800, "usd", "$18.00"),
            (5, "eur", "€0.05"),
            (1800, "jpy", "¥1800"),
            (12_345, "kwd", "12.345 KWD"),
            (7, "tnd", "0.007 TND"),
            (100, "chf", "1.00 CHF"),
        ] {
            assert_eq!(shown(amount, currency), wanted);
        }
    }
}
