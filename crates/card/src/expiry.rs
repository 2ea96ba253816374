//! The expiry date: typed, pasted or filled in every common form; valid to the end of its month.

/// A calendar month: year 2000-2099, month 1-12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: u16,
    month: u8,
}

impl Month {
    /// A month; none when `month` is not 1-12.
    #[must_use]
    pub fn new(year: u16, month: u8) -> Option<Self> {
        (1..=12).contains(&month).then_some(Self { year, month })
    }

    /// The month that holds this Unix time, in the zone furthest behind (UTC-12): a card is good until its month
    /// has ended everywhere.
    #[must_use]
    pub fn of_unix(seconds: i64) -> Self {
        let days = (seconds - 12 * 3600).div_euclid(86_400);
        let (year, month, _) = crate::calendar::civil(days);
        Self {
            year: year as u16,
            month,
        }
    }

    /// The four-digit year.
    #[must_use]
    pub fn year(self) -> u16 {
        self.year
    }

    /// The month, 1-12.
    #[must_use]
    pub fn month(self) -> u8 {
        self.month
    }
}

/// A card's expiry month.
pub type Expiry = Month;

/// Why a typed expiry is not one. Unit variants: an error never carries what was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Nothing typed.
    Empty,
    /// Not finished.
    Incomplete,
    /// No such month.
    Month,
    /// Over.
    Past,
    /// More than fifty years ahead: a typing error.
    Far,
}

/// Cards are issued for some years at most; more than this ahead is a typing error.
const MAX_YEARS: u16 = 50;

/// Reads `12/28`, `1/28`, `12 / 2028`, `1228`, `122028`, `12-28`, `2028-12` and `202812` (ISO 8601), `12/31/2028`, in any
/// digits.
///
/// # Errors
/// What is wrong, without the input.
pub fn parse(text: &str, today: Month) -> Result<Expiry, Error> {
    let digits = month_first(text);
    let (month, year) = digits.split_at(digits.len().min(2));
    let year = match year.len() {
        _ if digits.is_empty() => return Err(Error::Empty),
        2 => 2000 + number(year),
        4 => number(year),
        _ => return Err(Error::Incomplete),
    };
    let month = Month::new(year, number(month) as u8);
    within(month.ok_or(Error::Month)?, today)
}

/// Whether a card with this expiry is good today.
///
/// # Errors
/// [`Error::Past`] or [`Error::Far`].
pub fn within(expiry: Expiry, today: Month) -> Result<Expiry, Error> {
    match expiry {
        e if e < today => Err(Error::Past),
        e if e.year > today.year + MAX_YEARS => Err(Error::Far),
        e => Ok(e),
    }
}

/// What the field shows while it is being typed: `MM / YY`. A first digit above 1 is a month by itself.
/// A four-digit year or ISO order is folded once it is whole.
#[must_use]
pub fn format(text: &str) -> String {
    let separated = text.chars().any(|c| matches!(c, '/' | '-' | '.'));
    let mut digits = month_first(text);
    digits.truncate(6);
    // A month that begins with 2 to 9 is whole, and so is `1/`. `13` is none: it stays as typed, to be told so, and is
    // not read as January.
    let whole = digits.as_str() >= "2" && digits.len() < 6;
    if whole || (digits.len() == 1 && separated) {
        digits.insert(0, '0');
    }
    if digits.len() == 6 && digits.get(2..4) == Some("20") {
        digits.replace_range(2..4, "");
    }
    match digits.split_at_checked(2) {
        None => digits,
        Some((month, year)) => {
            let shown = year.len().min(year_digits(year));
            [month, " / ", &year[..shown]].concat()
        }
    }
}

// `20` and a third digit is a four-digit year on its way; it is folded when the fourth arrives.
fn year_digits(rest: &str) -> usize {
    if rest.starts_with("20") { 3 } else { 2 }
}

/// The digits of a date, the month's two before the year's, whichever way it was written.
fn month_first(text: &str) -> String {
    let mut groups = text
        .split(|c: char| crate::number::ascii_digit(c).is_none())
        .filter(|group| !group.is_empty())
        .map(|group| crate::number::digits_of(group, 8));
    let mut next = || groups.next().unwrap_or_default();
    let (first, second, third) = (next(), next(), next());
    let padded = |month: &str| if month.len() == 1 { "0" } else { "" };
    match (first.len(), second.len(), third.len()) {
        // The year first: `2028-12`, `2028-12-31`.
        (4, 1.., _) => [padded(&second), &second, &first].concat(),
        // `202812`, where the first two digits are no month.
        (6, 0, _) if first.starts_with("20") => [&first[4..], &first[..4]].concat(),
        // A day between: `12/31/2028`.
        (1..=2, 1..=2, 4) => [padded(&first), &first, &third].concat(),
        // `1/28`.
        (1, 1.., _) => ["0", &first, &second].concat(),
        _ => [first, second, third].concat(),
    }
}

fn number(digits: &str) -> u16 {
    digits.bytes().fold(0, |n: u16, b| {
        n.wrapping_mul(10).wrapping_add(u16::from(b - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn month(year: u16, month: u8) -> Month {
        Month::new(year, month).expect("a month")
    }

    #[test]
    fn every_common_form_is_read() {
        let today = month(2026, 11);
        for text in [
            "12/28",
            "12 / 28",
            "1228",
            "12-28",
            "12 28",
            "12/2028",
            "122028",
            "2028-12",
            "2028/12",
            "2028-12-31",
            "202812",
            "12/31/2028",
            "12.2028",
            " 12 / 2028 ",
            "١٢/٢٨",
            "۱۲ / ۲۰۲۸",
            "१२/२८",
            "１２／２８",
            "২০২৮-১২",
        ] {
            assert_eq!(parse(text, today), Ok(month(2028, 12)), "{text}");
            assert_eq!(format(text), "12 / 28", "{text}");
        }
        for text in [
            "1/28", "01/28", "1-2028", "2028-1", "202801", "0128", "1 / 28",
        ] {
            assert_eq!(parse(text, today), Ok(month(2028, 1)), "{text}");
            assert_eq!(format(text), "01 / 28", "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let today = month(2026, 11);
        for (text, error) in [
            ("", Error::Empty),
            ("1", Error::Incomplete),
            ("12/", Error::Incomplete),
            ("12/2", Error::Incomplete),
            ("13/28", Error::Month),
            ("00/28", Error::Month),
            ("10/26", Error::Past),
            ("11/25", Error::Past),
            ("12/99", Error::Far),
        ] {
            assert_eq!(parse(text, today), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_card_is_good_until_its_month_has_ended() {
        assert_eq!(parse("11/26", month(2026, 11)), Ok(month(2026, 11)));
        assert_eq!(parse("11/26", month(2026, 12)), Err(Error::Past));
        // 2026-12-01 00:00 UTC is still November at UTC-12.
        assert_eq!(Month::of_unix(1_796_083_200), month(2026, 11));
        assert_eq!(Month::of_unix(1_796_083_200 + 12 * 3600), month(2026, 12));
    }

    #[test]
    fn the_field_formats_while_typing() {
        for (typed, shown) in [
            ("", ""),
            ("1", "1"),
            ("2", "02 / "),
            ("1/", "01 / "),
            ("12", "12 / "),
            ("13", "13 / "),
            ("1340", "13 / 40"),
            ("122", "12 / 2"),
            ("1228", "12 / 28"),
            ("12 / 28", "12 / 28"),
            ("122028", "12 / 28"),
            ("12 / 202", "12 / 202"),
            ("12 / 2028", "12 / 28"),
            ("12 / 289", "12 / 28"),
            ("2028-12", "12 / 28"),
            ("12/2028", "12 / 28"),
        ] {
            assert_eq!(format(typed), shown, "{typed:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,24}") {
            let _ = parse(&text, month(2026, 11));
            let _ = format(&text);
        }

        #[test]
        fn a_formatted_date_reads_as_itself(y in 26u16..70, m in 1u8..13) {
            let shown = format(&std::format!("{m:02}{y:02}"));
            prop_assert_eq!(parse(&shown, month(2026, 1)), Ok(month(2000 + y, m)));
        }
    }
}
