//! Postal codes: their shape and their name by country.
//!
//! The country is what the page says or the buyer picks, never a guess from the card: a foreigner's card must not ask for
//! a code that the buyer does not have. Without a country, and for a country not listed here, any code is taken.
//! Source: the Universal Postal Union's addressing systems, by country.

use pan::Country;

/// `CC` and the shapes its codes may have: `9` a digit, `A` a letter, `*` either. Spaces and hyphens do not count.
/// `-` means that the country has none.
pub const SHAPES: &str = "\
ADAA999 AE- AL9999 AM9999 AR9999,A9999AAA AT9999 AU9999 AZ9999,AA9999 BA99999 BD9999 BE9999 BG9999 BH999,9999 BO- \
BR99999999 BY999999 CAA9A9A9 CH9999 CL9999999 CN999999 CO999999 CR99999 CY9999 CZ99999 DE99999 DK9999 DO99999 DZ99999 \
EC999999 EE99999 EG99999 ES99999 FI99999 FO999 FR99999 GBA*9AA,A**9AA,A***9AA GE9999 GGA*9AA,A**9AA GL9999 GR99999 \
GT99999 HK- HN99999 HR99999 HU9999 ID99999 IEA99****,A9A**** IL9999999,99999 IMA*9AA,A**9AA IN999999 IQ99999 \
IR9999999999 IS999 IT99999 JEA*9AA,A**9AA JO99999 JP9999999 KE99999 KG999999 KH99999,999999 KR99999 KW99999 \
KZ999999,A99A9A9 LB9999,99999999 LI9999 LK99999 LT99999,AA99999 LU9999 LV9999,AA9999 MA99999 MC99999 MD9999,AA9999 \
ME99999 MK9999 MTAAA9999 MU99999 MX99999 MY99999 NG999999 NL9999AA NO9999 NP99999 NZ9999 OM999 PE99999 PH9999 PK99999 \
PL99999 PT9999999 PY9999 QA- RO999999 RS99999,999999 RU999999 SA99999,999999999 SE99999 SG999999 SI9999 SK99999 SM99999 \
SN99999 TH99999 TN9999 TR99999 TW999,99999,999999 UA99999 US99999,999999999 UY99999 UZ999999 VA99999 VE9999 \
VN99999,999999 XK99999 ZA9999 ZM99999";

/// Whether a country has postal codes at all.
#[must_use]
pub fn is_used_in(country: Option<Country>) -> bool {
    shapes(country) != Some("-")
}

/// Whether `text` is a postal code of `country`.
#[must_use]
pub fn is_valid(country: Option<Country>, text: &str) -> bool {
    let code: String = text
        .chars()
        .filter(|c| !matches!(c, ' ' | '-'))
        .map(|c| card::number::ascii_digit(c).unwrap_or(c))
        .collect();
    let is_plain =
        (2..=12).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_plain
        && match shapes(country) {
            None | Some("-") => true,
            Some(shapes) => shapes.split(',').any(|shape| fits(shape, &code)),
        }
}

/// Whether a country's codes are digits, so that a phone may show its number pad.
#[must_use]
pub fn is_numeric(country: Option<Country>) -> bool {
    shapes(country).is_some_and(|shapes| shapes.bytes().all(|b| matches!(b, b'9' | b',')))
}

fn shapes(country: Option<Country>) -> Option<&'static str> {
    let country = country?;
    SHAPES
        .split(' ')
        .find_map(|entry| entry.strip_prefix(country.as_str()))
}

fn fits(shape: &str, code: &str) -> bool {
    shape.len() == code.len()
        && shape
            .bytes()
            .zip(code.bytes())
            .all(|(shape, b)| match shape {
                b'9' => b.is_ascii_digit(),
                b'A' => b.is_ascii_alphabetic(),
                _ => true,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(country: &str, right: &[&str], wrong: &[&str]) {
        let country = Country::parse(country).ok();
        for code in right {
            assert!(is_valid(country, code), "{country:?} {code}");
        }
        for code in wrong {
            assert!(!is_valid(country, code), "{country:?} {code}");
        }
    }

    #[test]
    fn codes_by_country() {
        check(
            "US",
            &["94107", "94107-1234", "941071234"],
            &["9410", "SW1A 1AA", ""],
        );
        check("CA", &["K1A 0B1", "k1a0b1"], &["K1A 0B", "11A 0B1"]);
        check(
            "GB",
            &["SW1A 1AA", "M1 1AE", "EC1A1BB", "b338th"],
            &["12345", "SW1A"],
        );
        check("NL", &["1012 AB", "1012ab"], &["1012", "AB 1012"]);
        check("JP", &["100-0001", "１００-０００１"], &["100-000"]);
        check("PT", &["1000-205"], &["1000"]);
        check(
            "IE",
            &["D02 AF30", "D6W XY00", "A65 F4E2"],
            &["D02", "1234567"],
        );
        check("IN", &["110001", "११०००१"], &["1100"]);
        check("BR", &["01310-100"], &["01310"]);
        check("DE", &["10115"], &["1011", "A0115"]);
        check("PL", &["00-001"], &["00-00"]);
        check("MT", &["VLT 1117"], &["1117"]);
        check("AR", &["1425", "C1425CLA"], &["C1425"]);
    }

    #[test]
    fn a_country_unknown_or_without_codes_takes_any() {
        check(
            "",
            &["94107", "SW1A 1AA", "1012 AB"],
            &["", "x", "no/such", "1234567890123"],
        );
        check("ZZ", &["SW1A 1AA"], &[]);
        check("HK", &["999077"], &[]);
        let hong_kong = Country::parse("HK").ok();
        assert!(!is_used_in(hong_kong) && is_used_in(None));
    }

    #[test]
    fn the_number_pad_is_for_digits() {
        for (country, expected) in [
            ("US", true),
            ("DE", true),
            ("GB", false),
            ("CA", false),
            ("NL", false),
        ] {
            let country = Country::parse(country).ok();
            assert_eq!(is_numeric(country), expected, "{country:?}");
        }
        assert!(!is_numeric(None));
    }

    #[test]
    fn the_table_is_sound() {
        for entry in SHAPES.split(' ') {
            let (country, shapes) = entry.split_at(2);
            assert!(Country::parse(country).is_ok(), "{entry}");
            assert!(
                !shapes.is_empty() && shapes.bytes().all(|b| b"A9*,-".contains(&b)),
                "{entry}"
            );
        }
    }
}
