//! Regrouping what is typed while the caret stays where the buyer works.
//!
//! The caret is kept by counting the digits before it: spaces come and go, digits do not. A deletion that hit only a
//! separator (the digit count has not changed) deletes the digit beyond it, else Backspace would stick at a gap.

use card::own::{Kind, OwnBrand};
use card::{expiry, number};
use zeroize::Zeroizing;

/// Which way the input event deleted, if it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It inserted, pasted or filled.
    None,
    /// Backspace.
    Backward,
    /// Delete.
    Forward,
}

impl Deletion {
    /// Reads `InputEvent.inputType`.
    #[must_use]
    pub fn of_input_type(input_type: &str) -> Self {
        match input_type {
            "deleteContentBackward" => Self::Backward,
            "deleteContentForward" => Self::Forward,
            _ => Self::None,
        }
    }
}

/// An input after an event: its text, where the caret stands (UTF-16 units, as the DOM counts), how it came about.
#[derive(Clone, Copy)]
pub struct Typed<'a> {
    /// The input's text.
    pub text: &'a str,
    /// `selectionStart`.
    pub caret: usize,
    /// Digits that stood in the input before the event.
    pub digits_before: usize,
    /// Whether it deleted.
    pub deletion: Deletion,
}

/// What the input shall show, and where the caret goes.
pub struct Shown {
    /// The text.
    pub text: Zeroizing<String>,
    /// The caret.
    pub caret: usize,
    /// Digits in the text.
    pub digits: usize,
}

/// A card number: digits in the groups of its brand, which may be one of these, no longer than the brand's longest.
#[must_use]
pub fn number(typed: Typed<'_>, own: &[OwnBrand<'_>]) -> Shown {
    let (mut digits, left) = typed.digits();
    let kind = Kind::of(&digits, own);
    digits.truncate(kind.max_length());
    let text = Zeroizing::new(number::group_of(&digits, kind));
    let mut caret = after_digits(&text, left);
    // A new digit at the end of a group leads into the next one; a deletion stays behind the digit it left.
    if typed.deletion == Deletion::None && text.as_bytes().get(caret) == Some(&b' ') {
        caret += 1;
    }
    Shown::new(text, caret)
}

/// An expiry date, shown as `MM / YY`.
#[must_use]
pub fn expiry(typed: Typed<'_>) -> Shown {
    let (digits, left) = typed.digits();
    // Separators that were put in matter (`1/` is January); those that a deletion left do not.
    let source = match typed.deletion {
        Deletion::None => typed.text,
        Deletion::Backward | Deletion::Forward => &digits,
    };
    let text = Zeroizing::new(expiry::format(source));
    let padded = digit_count(&text).saturating_sub(digits.len());
    let at_end = typed.caret >= typed.text.encode_utf16().count();
    let caret = if at_end {
        text.len()
    } else {
        after_digits(&text, left + padded)
    };
    Shown::new(text, caret)
}

/// A CVV: digits, as many as the brand has.
#[must_use]
pub fn cvc(typed: Typed<'_>, kind: Kind<'_>) -> Shown {
    let (mut digits, left) = typed.digits();
    digits.truncate(kind.max_cvc_length());
    let caret = left.min(digits.len());
    Shown::new(digits, caret)
}

/// Anything else: as typed.
#[must_use]
pub fn as_is(typed: Typed<'_>) -> Shown {
    Shown::new(Zeroizing::new(typed.text.to_owned()), typed.caret)
}

impl Typed<'_> {
    /// The digits that shall stay, and how many of them are left of the caret.
    fn digits(&self) -> (Zeroizing<String>, usize) {
        let mut left = digits_left_of(self.text, self.caret);
        let mut digits = Zeroizing::new(number::digits_of(self.text, usize::MAX));
        let hit_separator = self.deletion != Deletion::None && digits.len() == self.digits_before;
        if hit_separator && self.deletion == Deletion::Backward && left > 0 {
            left -= 1;
            digits.remove(left);
        } else if hit_separator && self.deletion == Deletion::Forward && left < digits.len() {
            digits.remove(left);
        }
        (digits, left)
    }
}

impl Shown {
    fn new(text: Zeroizing<String>, caret: usize) -> Self {
        let digits = digit_count(&text);
        Self {
            text,
            caret,
            digits,
        }
    }
}

fn digit_count(text: &str) -> usize {
    text.chars()
        .filter(|c| number::ascii_digit(*c).is_some())
        .count()
}

fn digits_left_of(text: &str, caret: usize) -> usize {
    let mut units = 0;
    text.chars()
        .take_while(|c| {
            units += c.len_utf16();
            units <= caret
        })
        .filter(|c| number::ascii_digit(*c).is_some())
        .count()
}

// `text` is ASCII by now, so bytes are UTF-16 units.
fn after_digits(text: &str, digits: usize) -> usize {
    if digits == 0 {
        return 0;
    }
    text.bytes()
        .enumerate()
        .filter(|(_, b)| b.is_ascii_digit())
        .nth(digits - 1)
        .map_or(text.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use card::Brand;
    use proptest::prelude::*;

    /// `|` marks the caret in both strings.
    #[track_caller]
    fn check(
        edit: impl Fn(Typed<'_>) -> Shown,
        before: &str,
        typed: &str,
        deletion: Deletion,
        expected: &str,
    ) {
        let caret = typed.find('|').expect("a caret");
        let text = typed.replace('|', "");
        let shown = edit(Typed {
            text: &text,
            caret: text[..caret].encode_utf16().count(),
            digits_before: digit_count(before),
            deletion,
        });
        let mut marked = shown.text.to_string();
        marked.insert(shown.caret, '|');
        assert_eq!(marked, expected, "{typed}");
        assert_eq!(shown.digits, digit_count(expected));
    }

    #[test]
    fn the_number_is_grouped_and_the_caret_kept() {
        use Deletion::{Backward, Forward, None};
        for (before, typed, deletion, expected) in [
            ("", "4|", None, "4|"),
            ("4242", "42424|", None, "4242 4|"),
            ("4242", "4242 |", Backward, "424|"), // the gap had no digit behind it
            ("4242 4", "4242 |", Backward, "4242|"),
            // In the middle: insert, delete, delete a gap either way.
            ("4242 4242", "4259|2 4242", None, "4259 |2424 2"),
            ("4242 4242", "424|2 4242", None, "424|2 4242"),
            ("4242 4242", "42|2 4242", Backward, "42|24 242"),
            ("4242 4242", "4242|4242", Backward, "424|4 242"),
            ("4242 4242", "4242|4242", Forward, "4242| 242"),
            // Paste with separators, over the whole field and into the middle.
            ("", "4242-4242-4242-4242|", None, "4242 4242 4242 4242|"),
            ("4242", "42 5555| 42", None, "4255 55|42"),
            // American Express groups 4-6-5 and ends at 15.
            ("", "378282246310005|", None, "3782 822463 10005|"),
            (
                "3782 822463 10005",
                "3782 822463 100059|",
                None,
                "3782 822463 10005|",
            ),
            ("", "٤٢٤٢٤|", None, "4242 4|"),
            ("", "|", Backward, "|"),
        ] {
            check(|t| number(t, &[]), before, typed, deletion, expected);
        }
    }

    #[test]
    fn the_expiry_is_formatted_and_backspace_never_sticks() {
        use Deletion::{Backward, None};
        for (before, typed, deletion, expected) in [
            ("", "1|", None, "1|"),
            ("1", "12|", None, "12 / |"),
            ("", "9|", None, "09 / |"),
            ("1", "1/|", None, "01 / |"),
            ("12 / ", "12 / 2|", None, "12 / 2|"),
            ("12 / 2", "12 / |", Backward, "12 / |"),
            ("12 / ", "12 /|", Backward, "1|"),
            ("12 / 28", "1| / 28", Backward, "1|2 / 8"),
            // A year typed with four digits is folded when it is whole.
            ("12 / 20", "12 / 202|", None, "12 / 202|"),
            ("12 / 202", "12 / 2028|", None, "12 / 28|"),
            ("12 / 28", "|2 / 28", Backward, "0|2 / 28"),
            ("", "12/2028|", None, "12 / 28|"),
            ("", "1/28|", None, "01 / 28|"),
            ("", "12 28|", None, "12 / 28|"),
            ("", "1228|", None, "12 / 28|"),
            ("", "122028|", None, "12 / 28|"),
            ("", "۱۲/۲۸|", None, "12 / 28|"),
            ("", "2028-12|", None, "12 / 28|"),
        ] {
            check(expiry, before, typed, deletion, expected);
        }
    }

    #[test]
    fn the_cvc_has_the_brands_length() {
        for (brand, typed, expected) in [
            (Brand::Visa, "1234|", "123|"),
            (Brand::Amex, "12345|", "1234|"),
            (Brand::Unknown, "12345|", "1234|"),
            (Brand::Visa, "1a2|", "12|"),
        ] {
            check(
                |t| cvc(t, brand.into()),
                "",
                typed,
                Deletion::None,
                expected,
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_and_caret_hold(text in ".{0,30}", caret in 0usize..40, before in 0usize..20, way in 0u8..3) {
            let deletion = [Deletion::None, Deletion::Backward, Deletion::Forward][usize::from(way)];
            let typed = Typed { text: &text, caret, digits_before: before, deletion };
            for shown in [number(typed, &[]), expiry(typed), cvc(typed, Brand::Amex.into())] {
                prop_assert!(shown.text.is_ascii() && shown.caret <= shown.text.len());
            }
        }

        #[test]
        fn typing_digit_by_digit_equals_pasting(digits in "[0-9]{0,19}") {
            let mut text = String::new();
            for digit in digits.chars() {
                text.push(digit);
                let caret = text.len();
                let before = digit_count(&text) - 1;
                text = number(Typed { text: &text, caret, digits_before: before, deletion: Deletion::None }, &[]).text.to_string();
            }
            let pasted = number(Typed { text: &digits, caret: digits.len(), digits_before: 0, deletion: Deletion::None }, &[]);
            prop_assert_eq!(text, pasted.text.to_string());
        }
    }
}
