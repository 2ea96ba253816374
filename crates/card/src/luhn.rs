//! The Luhn check digit (ISO/IEC 7812-1 annex B).

/// Whether `digits` (ASCII `0`-`9` only) carries a right check digit. Empty or non-digit input does not.
#[must_use]
pub fn is_valid(digits: &str) -> bool {
    !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && sum(digits).is_multiple_of(10)
}

/// The digit that makes `digits` followed by it pass [`is_valid`].
#[must_use]
pub fn check_digit(digits: &str) -> u8 {
    // Appending a 0 puts every digit at the weight it will have; the missing part is the check digit.
    let with_zero = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| weigh(b, i % 2 == 0))
        .sum::<u32>();
    ((10 - with_zero % 10) % 10) as u8
}

/// The range whose cards have a check digit of their own making.
pub(crate) const NARANJA: &str = "589562";

/// Naranja's check digit: the weighted sum of the first fifteen digits, modulo 11 (source: Active Merchant's
/// `valid_naranja_algo?`).
pub(crate) fn is_valid_naranja(digits: &str) -> bool {
    const WEIGHTS: [u32; 15] = [4, 3, 2, 7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2];
    let mut bytes = digits.bytes();
    let sum: u32 = WEIGHTS
        .iter()
        .zip(&mut bytes)
        .map(|(weight, b)| weight * weigh(b, false))
        .sum();
    let check = match 11 - sum % 11 {
        10 | 11 => 0,
        digit => digit,
    };
    bytes.next().map(|b| weigh(b, false)) == Some(check) && bytes.next().is_none()
}

fn sum(digits: &str) -> u32 {
    digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| weigh(b, i % 2 == 1))
        .sum()
}

fn weigh(ascii: u8, doubled: bool) -> u32 {
    let digit = u32::from(ascii.wrapping_sub(b'0'));
    match (doubled, digit) {
        (false, d) => d,
        (true, d) if d > 4 => d * 2 - 9,
        (true, d) => d * 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_numbers_pass() {
        for n in [
            "4242424242424242",
            "378282246310005",
            "5555555555554444",
            "6011111111111117",
            "30569309025904",
        ] {
            assert!(is_valid(n), "{n}");
        }
    }

    #[test]
    fn what_is_not_digits_fails() {
        for n in [
            "",
            " ",
            "4242 4242 4242 4242",
            "4242424242424241",
            "424242424242424a",
            "４２４２",
        ] {
            assert!(!is_valid(n), "{n:?}");
        }
    }

    #[test]
    fn naranja_counts_for_itself() {
        let published = "5895627823453005";
        assert!(is_valid_naranja(published) && !is_valid(published));
        for wrong in ["5895627823453006", "589562782345300", ""] {
            assert!(!is_valid_naranja(wrong), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_check_digit_completes_and_any_single_error_is_found(body in "[0-9]{12,18}", at in 0usize..19, by in 1u8..10) {
            let whole = format!("{body}{}", check_digit(&body));
            prop_assert!(is_valid(&whole));
            let at = at % whole.len();
            let mut wrong = whole.into_bytes();
            wrong[at] = b'0' + (wrong[at] - b'0' + by) % 10;
            prop_assert!(!is_valid(std::str::from_utf8(&wrong).expect("ascii")));
        }
    }
}
