//! Days and dates of the Gregorian calendar: which month a card's expiry is compared with, which day a settlement file
//! is of. The algorithms are Howard Hinnant's `civil_from_days` and `days_from_civil` ("chrono-compatible low-level
//! date algorithms"). A day is a count since 1970-01-01.

/// Year, month and day of the month.
#[must_use]
pub fn civil(day: i64) -> (i64, u8, u8) {
    let z = day + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let of_month = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u8, of_month as u8)
}

/// `2026-11-21`.
#[must_use]
pub fn date(day: i64) -> String {
    let (year, month, of_month) = civil(day);
    format!("{year:04}-{month:02}-{of_month:02}")
}

/// The day of `2026-11-21`; none for what is no date of the years 1970 to 9999.
#[must_use]
pub fn day_of(date: &str) -> Option<i64> {
    let mut parts = date.splitn(3, '-');
    let mut next = || parts.next()?.parse::<i64>().ok();
    let (y, m, d) = (next()?, next()?, next()?);
    if !(1970..=9999).contains(&y) || !(1..=12).contains(&m) || !(1..=31).contains(&d) {
        return None;
    }
    let y = if m <= 2 { y - 1 } else { y };
    let (era, year_of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let day_of_year = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + d - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates() {
        for (day, text) in [
            (0, "1970-01-01"),
            (20_778, "2026-11-21"),
            (19_782, "2024-02-29"),
        ] {
            assert_eq!(date(day), text);
            assert_eq!(day_of(text), Some(day));
        }
        for bad in ["2026-13-01", "2026-00-10", "today"] {
            assert_eq!(day_of(bad), None, "{bad}");
        }
    }
}
