//! The JSON that is sealed: `{"number":"..","exp_month":12,"exp_year":2030,"cvc":"..","name":"..","postal_code":"..",
//! "country":"..","network":".."}`, the last five as far as they were asked for.
//!
//! Written by hand into one buffer of a known size that is wiped on drop: a serialiser would cost 17 kB of wasm and
//! leave copies of the digits behind in buffers it outgrew.

use pan::{CardData, Country, Cvv, HolderName, PostalCode};
use zeroize::Zeroizing;

/// Longer than any card: 19 digits, a name of 100 characters with every one escaped or four bytes long, the keys.
const CAPACITY: usize = 640;

/// The plaintext of a sealed card.
#[must_use]
pub fn plaintext(card: &CardData) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(CAPACITY));
    #[expect(
        clippy::disallowed_methods,
        reason = "the card leaves its types here to be sealed, in a buffer that is wiped"
    )]
    {
        text(&mut out, "{\"number\":\"", card.number.expose());
        out.extend_from_slice(b"\",\"exp_month\":");
        decimal(&mut out, u16::from(card.expiry.month()));
        out.extend_from_slice(b",\"exp_year\":");
        decimal(&mut out, card.expiry.year());
        let optional = [
            (",\"cvc\":\"", card.cvc.as_ref().map(Cvv::expose)),
            (",\"name\":\"", card.name.as_ref().map(HolderName::expose)),
            (
                ",\"postal_code\":\"",
                card.postal_code.as_ref().map(PostalCode::expose),
            ),
            (
                ",\"country\":\"",
                card.country.as_ref().map(Country::as_str),
            ),
            (
                ",\"network\":\"",
                card.network.map(|brand| brand.facts().id),
            ),
        ];
        for (before, value) in optional {
            if let Some(value) = value {
                text(&mut out, before, value);
                out.push(b'"');
            }
        }
    }
    out.push(b'}');
    out
}

/// The plaintext of a CVV alone, for a card that is stored already: `{"cvc":".."}`.
#[must_use]
pub fn of_cvc(cvc: &Cvv) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(CAPACITY));
    #[expect(
        clippy::disallowed_methods,
        reason = "the CVV leaves its type here to be sealed, in a buffer that is wiped"
    )]
    text(&mut out, "{\"cvc\":\"", cvc.expose());
    out.extend_from_slice(b"\"}");
    out
}

// The types hold no control characters, so quote and backslash are all that JSON wants escaped.
fn text(out: &mut Vec<u8>, before: &str, value: &str) {
    out.extend_from_slice(before.as_bytes());
    for byte in value.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

fn decimal(out: &mut Vec<u8>, number: u16) {
    if number >= 10 {
        decimal(out, number / 10);
    }
    out.push(b'0' + (number % 10) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use card::{Brand, Month};
    use pan::Pan;

    fn card(name: Option<&str>) -> CardData {
        CardData {
            number: Pan::parse("4242424242424242").expect("a number"),
            expiry: Month::new(2030, 12).expect("a month"),
            cvc: Some(Cvv::parse("123", Brand::Visa).expect("a cvv")),
            name: name.map(|name| HolderName::parse(name).expect("a name")),
            postal_code: None,
            country: None,
            network: None,
        }
    }

    #[test]
    fn it_is_the_contracts_json() {
        assert_eq!(
            plaintext(&card(None)).as_slice(),
            br#"{"number":"4242424242424242","exp_month":12,"exp_year":2030,"cvc":"123"}"#
        );
    }

    #[test]
    fn what_else_was_asked_for_goes_along() {
        let mut card = card(Some("Ada"));
        card.postal_code = PostalCode::parse("SW1A 1AA").ok();
        card.country = Country::parse("GB").ok();
        card.network = Some(Brand::Visa);
        let json: serde_json::Value = serde_json::from_slice(&plaintext(&card)).expect("json");
        let expected = serde_json::json!({
            "number": "4242424242424242", "exp_month": 12, "exp_year": 2030, "cvc": "123",
            "name": "Ada", "postal_code": "SW1A 1AA", "country": "GB", "network": "visa",
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn a_cvv_goes_alone() {
        let cvc = Cvv::parse("1234", Brand::Unknown).expect("a cvv");
        assert_eq!(of_cvc(&cvc).as_slice(), br#"{"cvc":"1234"}"#);
    }

    #[test]
    fn a_name_is_escaped() {
        let bytes = plaintext(&card(Some(r#"Ada "Countess" L\ö"#)));
        let json: serde_json::Value = serde_json::from_slice(&bytes).expect("json");
        assert_eq!(json["name"], r#"Ada "Countess" L\ö"#);
    }

    #[test]
    fn the_buffer_never_grows() {
        let longest = "\u{10000}".repeat(100);
        assert!(plaintext(&card(Some(&longest))).capacity() == CAPACITY);
        let escaped = "\"".repeat(100);
        assert!(plaintext(&card(Some(&escaped))).capacity() == CAPACITY);
    }
}
