//! Rates as decimals of whole numbers: no floating point is near an amount. Where something has to be rounded, it is
//! rounded half to even.

use serde::{Deserialize, Serialize};

/// As many digits as a rate in a file may have.
const MOST_DIGITS: usize = 12;
/// A computed rate has so many significant digits.
const SIGNIFICANT: i128 = 100_000_000;

/// A positive decimal: `digits / 10^scale`. As text in JSON, without trailing zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal {
    digits: i128,
    scale: u32,
}

impl Decimal {
    /// `1.0834`; None for anything but digits with at most one point, and for zero.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = match text.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (text, ""),
        };
        let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let length = whole.len() + part.len();
        if whole.is_empty() || !all_digits(whole) || !all_digits(part) || length > MOST_DIGITS {
            return None;
        }
        let digits: i128 = format!("{whole}{part}").parse().ok()?;
        let scale = u32::try_from(part.len()).ok()?;
        (digits > 0).then(|| Self { digits, scale }.shortest())
    }

    /// `self / by` with eight significant digits; with its whole part's when that has more.
    pub fn divided(self, by: Self) -> Option<Self> {
        let over = self.digits.checked_mul(10i128.pow(by.scale))?;
        let under = by.digits.checked_mul(10i128.pow(self.scale))?;
        for scale in 0..=2 * MOST_DIGITS as u32 {
            let scaled = over.checked_mul(10i128.checked_pow(scale)?)?;
            let digits = half_even(scaled, under);
            if digits >= SIGNIFICANT / 10 {
                return Some(Self { digits, scale }.shortest());
            }
        }
        None
    }

    /// `amount` of a currency with `from` decimals, in one with `to` decimals.
    pub fn times(self, amount: i64, from: usize, to: usize) -> Option<i64> {
        let over = i128::from(amount)
            .checked_mul(self.digits)?
            .checked_mul(10i128.pow(u32::try_from(to).ok()?))?;
        let under = 10i128.checked_pow(self.scale + u32::try_from(from).ok()?)?;
        i64::try_from(half_even(over, under)).ok()
    }

    fn shortest(mut self) -> Self {
        while self.scale > 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.scale -= 1;
        }
        self
    }
}

/// The quotient, rounded half to even; the same for both signs.
fn half_even(over: i128, under: i128) -> i128 {
    let (quotient, rest) = (over / under, (over % under).abs());
    let away = match (rest * 2).cmp(&under) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => quotient % 2 != 0,
        std::cmp::Ordering::Greater => true,
    };
    quotient + if away { over.signum() } else { 0 }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scale = self.scale as usize;
        let digits = format!("{:0width$}", self.digits, width = scale + 1);
        let (whole, part) = digits.split_at(digits.len() - scale);
        match part {
            "" => write!(f, "{whole}"),
            part => write!(f, "{whole}.{part}"),
        }
    }
}

impl From<Decimal> for String {
    fn from(decimal: Decimal) -> Self {
        decimal.to_string()
    }
}

impl TryFrom<String> for Decimal {
    type Error = &'static str;

    // Computed rates can be longer than those of a file.
    fn try_from(text: String) -> Result<Self, &'static str> {
        let invalid = "not a decimal";
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let digits = format!("{whole}{part}").parse().map_err(|_| invalid)?;
        let scale = u32::try_from(part.len()).map_err(|_| invalid)?;
        Ok(Self { digits, scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text} is a decimal"))
    }

    #[test]
    fn only_plain_decimals_are_read() {
        for (text, shown) in [
            ("1.0834", "1.0834"),
            ("163.50", "163.5"),
            ("0.9", "0.9"),
            ("7", "7"),
        ] {
            assert_eq!(decimal(text).to_string(), shown);
        }
        for text in [
            "",
            "0",
            "0.00",
            "-1",
            "+1",
            "1e5",
            ".5",
            "1.",
            "1,5",
            "1.2.3",
            "1234567890123",
        ] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn quotients_have_eight_digits() {
        for (over, under, shown) in [
            ("1", "1.0834", "0.92302012"),
            ("0.85", "1.0834", "0.7845671"),
            ("163.5", "1.0834", "150.91379"),
            ("1", "25000", "0.00004"),
            ("25000", "0.33", "75757.576"),
            ("999999999999", "0.00000000001", "99999999999900000000000"),
            ("2", "2", "1"),
        ] {
            let quotient = decimal(over).divided(decimal(under));
            assert_eq!(
                quotient.map(|d| d.to_string()).as_deref(),
                Some(shown),
                "{over} / {under}"
            );
        }
    }

    #[test]
    fn products_are_exact_and_rounded_half_to_even() {
        for (rate, amount, from, to, wanted) in [
            // 10.00 at 0.92302012 is 9.2302012.
            ("0.92302012", 1000, 2, 2, 923),
            // Halves go to the even neighbour, on both sides of zero.
            ("0.5", 1, 2, 2, 0),
            ("0.5", 3, 2, 2, 2),
            ("0.5", 5, 2, 2, 2),
            ("0.5", -3, 2, 2, -2),
            ("0.5", -5, 2, 2, -2),
            ("0.51", 5, 2, 2, 3),
            // Yen have no decimals, dinars three.
            ("150.91379", 1000, 2, 0, 1509),
            ("0.0061", 1800, 0, 2, 1098),
            ("3.25", 12_345, 3, 2, 4012),
            ("0.3077", 4012, 2, 3, 12_345),
            ("490.5", 1, 3, 0, 0),
            ("0.00004", 12_499, 0, 2, 50),
            ("0.00004", 99_999_999, 0, 2, 400_000),
        ] {
            assert_eq!(
                decimal(rate).times(amount, from, to),
                Some(wanted),
                "{amount} at {rate}"
            );
        }
        assert_eq!(decimal("999999999999").times(i64::MAX, 0, 3), None);
    }

    #[test]
    fn json_has_the_text() {
        let quotient = decimal("1").divided(decimal("25000")).expect("a quotient");
        let text = serde_json::to_string(&quotient).expect("JSON");
        assert_eq!(text, "\"0.00004\"");
        assert_eq!(
            serde_json::from_str::<Decimal>(&text).expect("a decimal"),
            quotient
        );
    }
}
