//! `Stripe-Signature: t=UNIX,v1=HEX[,v1=HEX]`: HMAC-SHA256 over `t.body`, keyed with the whole `whsec_..` string.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::Secret;

/// How far the signature's time may be from ours, in seconds.
const TOLERANCE: i64 = 300;

/// Whether one of the header's signatures fits one of the secrets, and is fresh.
pub(crate) fn is_valid(header: &str, body: &[u8], secrets: &[Secret], now: i64) -> bool {
    let Some(parsed) = parse(header) else {
        return false;
    };
    let fresh = (now - parsed.time).abs() <= TOLERANCE;
    fresh
        && secrets.iter().any(|secret| {
            let signed = |v1: &Vec<u8>| is_signed(secret, parsed.time, body, v1);
            parsed.signatures.iter().any(signed)
        })
}

struct Parsed {
    time: i64,
    signatures: Vec<Vec<u8>>,
}

fn parse(header: &str) -> Option<Parsed> {
    let mut time = None;
    let mut signatures = vec![];
    for part in header.split(',') {
        match part.trim().split_once('=')? {
            ("t", text) if time.is_none() => time = Some(text.parse().ok()?),
            ("t", _) => return None,
            ("v1", text) => signatures.extend(bytes_of_hex(text)),
            // Schemes to come.
            _ => {}
        }
    }
    Some(Parsed {
        time: time?,
        signatures,
    })
}

fn is_signed(secret: &Secret, time: i64, body: &[u8], signature: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.text().as_bytes()) else {
        return false;
    };
    mac.update(time.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    // Compares in constant time.
    mac.verify_slice(signature).is_ok()
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // From the Python line hmac.new(b"whsec_test", b"1700000000.{}", "sha256").hexdigest().
    const V1: &str = "35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91";

    fn check(header: &str, body: &[u8], now: i64, expected: bool) {
        let secrets = [Secret::new("whsec_other"), Secret::new("whsec_test\n")];
        assert_eq!(
            is_valid(header, body, &secrets, now),
            expected,
            "{header} at {now}"
        );
    }

    #[test]
    fn what_is_signed_and_fresh_passes() {
        let now = 1_700_000_000;
        check(&format!("t={now},v1={V1}"), b"{}", now, true);
        check(&format!("t={now},v1={V1}"), b"{}", now + 300, true);
        let wrong = "0".repeat(64);
        check(
            &format!("t={now},v1={wrong},v1={V1},v0=x"),
            b"{}",
            now,
            true,
        );
    }

    #[test]
    fn nothing_else_does() {
        let now = 1_700_000_000;
        check(&format!("t={now},v1={V1}"), b"{}", now + 301, false);
        check(&format!("t={now},v1={V1}"), b"{}", now - 301, false);
        check(&format!("t={now},v1={V1}"), b"{ }", now, false);
        check(&format!("t={},v1={V1}", now + 1), b"{}", now, false);
        check(&format!("t={now},t={now},v1={V1}"), b"{}", now, false);
        check(&format!("t={now},v0={V1}"), b"{}", now, false);
        check(&format!("t={now},v1={}", &V1[..62]), b"{}", now, false);
        for header in ["", "t", "t=,v1=", "v1=", "t=x,v1=ü", &format!("v1={V1}")] {
            check(header, b"{}", now, false);
        }
    }
}
