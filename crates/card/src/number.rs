//! The card number as a buyer types it: digits, grouping, and how far it has got.

use crate::own::Kind;
use crate::{Brand, luhn};

/// Shortest and longest card number (ISO/IEC 7812-1 allows up to 19).
pub const LENGTHS: std::ops::RangeInclusive<usize> = 12..=19;

/// How far a number has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing typed.
    Empty,
    /// May still become a number.
    Incomplete,
    /// Has a length of its brand and a right check digit.
    Valid,
    /// Cannot be a number: the check digit is wrong at the longest length, or it is too long.
    Invalid,
}

/// The state of `digits` (digits only), by the listed brands.
#[must_use]
pub fn state(digits: &str) -> State {
    state_of(digits, Brand::of(digits).into())
}

/// The state of `digits` (digits only), judged as this kind.
#[must_use]
pub fn state_of(digits: &str, kind: Kind<'_>) -> State {
    if digits.is_empty() {
        return State::Empty;
    }
    let lengths = kind.facts().lengths;
    match lengths.contains(digits.len()) {
        true if has_right_check_digit(digits, kind) => State::Valid,
        _ if digits.len() >= lengths.longest() => State::Invalid,
        _ => State::Incomplete,
    }
}

// Luhn, but for the one scheme that has a rule of its own, and for brands of a merchant's own that have none.
fn has_right_check_digit(digits: &str, kind: Kind<'_>) -> bool {
    match kind {
        Kind::Own(own) if !own.luhn => true,
        Kind::Listed(_) if digits.starts_with(luhn::NARANJA) => luhn::is_valid_naranja(digits),
        _ => luhn::is_valid(digits),
    }
}

/// Whether a buyer who leaves the field here has made a mistake, as opposed to not being done: a full length of
/// the brand with a wrong check digit reads as a mistake even where a longer number exists.
#[must_use]
pub fn is_mistyped(digits: &str, kind: Kind<'_>) -> bool {
    match state_of(digits, kind) {
        State::Invalid => true,
        State::Incomplete => {
            let lengths = kind.facts().lengths;
            // Visa lists 13 and 19, yet 16 is what people hold.
            let common = if lengths.contains(16) {
                16
            } else {
                lengths.shortest()
            };
            digits.len() >= common
        }
        State::Empty | State::Valid => false,
    }
}

/// Keeps the digits of what was typed or pasted, at most `max` of them; digits of other scripts become ASCII.
#[must_use]
pub fn digits_of(text: &str, max: usize) -> String {
    text.chars().filter_map(ascii_digit).take(max).collect()
}

/// The ASCII digit that `c` stands for, in the scripts card holders type: Arabic-Indic, Persian, the scripts of India
/// (which Unicode lays out alike, Devanagari to Malayalam), Thai, Lao, Tibetan, Burmese, Khmer, full-width.
#[must_use]
pub fn ascii_digit(c: char) -> Option<char> {
    const ZEROS: [u32; 9] = [
        '0' as u32, 0x0660, 0x06F0, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x17E0, 0xFF10,
    ];
    const INDIA: u32 = 0x0966;
    let code = c as u32;
    let zero = match code {
        INDIA..=0x0D6F => code - (code - INDIA) % 0x80,
        _ => *ZEROS
            .iter()
            .find(|zero| (**zero..**zero + 10).contains(&code))?,
    };
    char::from_digit(code - zero, 10)
}

/// `digits` with the spaces its brand prints.
#[must_use]
pub fn group(digits: &str) -> String {
    group_of(digits, Brand::of(digits).into())
}

/// `digits` with the spaces that cards of this kind print.
#[must_use]
pub fn group_of(digits: &str, kind: Kind<'_>) -> String {
    let mut out = String::with_capacity(digits.len() + 4);
    for (i, c) in digits.chars().enumerate() {
        if kind.has_gap(digits.len(), i) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// The last four digits, all that a receipt may show beside the brand (PCI DSS 3.4.1 allows BIN and last four).
#[must_use]
pub fn last4(digits: &str) -> &str {
    digits.get(digits.len().saturating_sub(4)..).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states() {
        for (digits, expected) in [
            ("", State::Empty),
            ("4", State::Incomplete),
            ("4242424242424242", State::Valid),
            ("4242424242424241", State::Incomplete), // a 19-digit Visa may begin so
            ("5555555555554445", State::Invalid),
            ("378282246310005", State::Valid),
            ("37828224631000", State::Incomplete),
            ("55555555555544444", State::Invalid),
        ] {
            assert_eq!(state(digits), expected, "{digits}");
        }
    }

    #[test]
    fn a_wrong_visa_is_a_mistake_once_the_buyer_leaves() {
        assert!(is_mistyped(
            "4242424242424241",
            Brand::of("4242424242424241").into()
        ));
        assert!(!is_mistyped(
            "424242424242",
            Brand::of("424242424242").into()
        ));
        assert!(!is_mistyped(
            "4242424242424242",
            Brand::of("4242424242424242").into()
        ));
        assert!(!is_mistyped("", Brand::of("").into()));
        assert!(is_mistyped(
            "378282246310006",
            Brand::of("378282246310006").into()
        ));
    }

    #[test]
    fn grouping_by_brand() {
        assert_eq!(group("4242424242424242"), "4242 4242 4242 4242");
        assert_eq!(group("378282246310005"), "3782 822463 10005");
        assert_eq!(group("30569309025904"), "3056 930902 5904");
        assert_eq!(group("42424"), "4242 4");
        assert_eq!(group(""), "");
    }

    #[test]
    fn digits_from_what_people_type() {
        assert_eq!(digits_of("4242-4242 4242.4242", 19), "4242424242424242");
        for digits in [
            "٠١٢٣٤٥٦٧٨٩",
            "۰۱۲۳۴۵۶۷۸۹",
            "०१२३४५६७८९",
            "০১২৩৪৫৬৭৮৯",
            "੦੧੨੩੪੫੬੭੮੯",
            "૦૧૨૩૪૫૬૭૮૯",
            "୦୧୨୩୪୫୬୭୮୯",
            "௦௧௨௩௪௫௬௭௮௯",
            "౦౧౨౩౪౫౬౭౮౯",
            "೦೧೨೩೪೫೬೭೮೯",
            "൦൧൨൩൪൫൬൭൮൯",
            "๐๑๒๓๔๕๖๗๘๙",
            "໐໑໒໓໔໕໖໗໘໙",
            "༠༡༢༣༤༥༦༧༨༩",
            "၀၁၂၃၄၅၆၇၈၉",
            "០១២៣៤៥៦៧៨៩",
            "０１２３４５６７８９",
        ] {
            assert_eq!(digits_of(digits, 19), "0123456789", "{digits}");
        }
        assert_eq!(digits_of("٤٢ ۴۲ ४२ ４２", 19), "42424242");
        assert_eq!(
            digits_of("क ௰ ൰ ½ ② Ⅷ", 19),
            "",
            "letters, tens and fractions"
        );
        assert_eq!(digits_of("12345", 3), "123");
        assert_eq!(digits_of("no", 3), "");
    }
}
