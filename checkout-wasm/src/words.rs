//! The strings a buyer reads or hears. English is inside; other languages (`checkout-wasm/words/`) are overlays by key,
//! loaded on demand, and the page's own words are an overlay above those. `browser/extras.js` writes labels and holds
//! the words of what only it makes.

use std::cell::RefCell;

use card::own::Kind;

use crate::form::{Fault, Field};

/// Declares the words: variant, key in the overlays, English.
macro_rules! words {
    ($($(#[$doc:meta])* $word:ident $key:literal $english:literal;)+) => {
        /// A string a buyer reads or hears.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Word {
            $($(#[$doc])* $word,)+
        }

        /// Key and English of each, in the order of [`Word`].
        pub const ENGLISH: [(&str, &str); [$($key),+].len()] = [$(($key, $english)),+];
    };
}

words! {
    /// The form's name, for assistive technology.
    Form "form" "Card details";
    /// Label of the number.
    Number "number" "Card number";
    /// Label of the expiry.
    Expiry "expiry" "Expiry date";
    /// What an empty expiry shows.
    ExpiryFormat "expiry_format" "MM / YY";
    /// Label of the CVV.
    Cvc "cvc" "Security code";
    /// A fault.
    IncompleteNumber "incomplete_number" "Enter the whole card number.";
    /// A fault.
    InvalidNumber "invalid_number" "This card number is not valid. Check the digits.";
    /// A fault.
    LiveCardInTestMode "live_card_in_test_mode" "Test mode takes only test cards, such as 4242\u{a0}4242\u{a0}4242\u{a0}4242.";
    /// A fault.
    TestCardInLiveMode "test_card_in_live_mode" "This is a test card. Use a real card.";
    /// A fault; `{brand}` is its name.
    BrandNotAllowed "brand_not_allowed" "{brand} is not accepted here. Use another card.";
    /// A fault.
    FundingNotAllowed "funding_not_allowed" "This type of card is not accepted here. Use another card.";
    /// A fault.
    IncompleteExpiry "incomplete_expiry" "Enter the expiry date as month and year.";
    /// A fault.
    InvalidExpiry "invalid_expiry" "This expiry date is not valid.";
    /// A fault.
    ExpiryPast "invalid_expiry_year_past" "This card has expired.";
    /// A fault, where the CVV has three digits.
    Cvc3 "incomplete_cvc" "Enter the 3 digits on the back of the card.";
    /// A fault, where the CVV has four digits.
    Cvc4 "incomplete_cvc_4" "Enter the 4 digits on the front of the card.";
    /// A fault.
    InvalidName "invalid_name" "Enter the name as it is on the card.";
    /// A fault.
    InvalidPostalCode "invalid_postal_code" "Enter a valid postal code.";
    /// The vault could not be reached.
    Offline "offline" "The card could not be sent. Check the connection and try again.";
    /// Something went wrong that the buyer cannot mend.
    Failed "failed" "The card could not be processed. Try again.";
}

/// An overlay's string may be this long, in bytes.
const MAX_LENGTH: usize = 400;

thread_local! {
    /// What is said instead of English. One document has one language.
    static OVERLAY: RefCell<[Option<String>; ENGLISH.len()]> = RefCell::default();
}

/// From now on says what `read` gives for a key, and English where it gives nothing.
pub fn lay(read: impl Fn(&str) -> Option<String>) {
    let overlay = ENGLISH.map(|(key, _)| read(key).filter(|text| text.len() <= MAX_LENGTH));
    OVERLAY.set(overlay);
}

/// A word, in the language of the moment.
#[must_use]
pub fn get(word: Word) -> String {
    OVERLAY.with_borrow(|overlay| {
        let over = overlay[word as usize].as_deref();
        over.unwrap_or(ENGLISH[word as usize].1).to_owned()
    })
}

/// The form's name in English, as the document begins.
pub const FORM: &str = ENGLISH[Word::Form as usize].1;

/// A field's label in English, as the document begins; none for those that it begins without.
#[must_use]
pub fn label(field: Field) -> &'static str {
    let word = match field {
        Field::Number => Word::Number,
        Field::Expiry => Word::Expiry,
        Field::Cvc => Word::Cvc,
        Field::Name | Field::PostalCode | Field::Save => return "",
    };
    ENGLISH[word as usize].1
}

/// What an empty input shows.
#[must_use]
pub fn placeholder(field: Field, brand: Kind<'static>) -> &'static str {
    match field {
        Field::Number => "1234 1234 1234 1234",
        Field::Expiry => ENGLISH[Word::ExpiryFormat as usize].1,
        Field::Cvc => brand.facts().cvc_label,
        Field::Name | Field::PostalCode | Field::Save => "",
    }
}

/// What is wrong, and what to do about it.
#[must_use]
pub fn fault(fault: Fault, brand: Kind<'_>) -> String {
    let word = match fault {
        Fault::NumberIncomplete => Word::IncompleteNumber,
        Fault::NumberInvalid => Word::InvalidNumber,
        Fault::LiveCardInTestMode => Word::LiveCardInTestMode,
        Fault::TestCardInLiveMode => Word::TestCardInLiveMode,
        Fault::BrandNotAllowed => Word::BrandNotAllowed,
        Fault::FundingNotAllowed => Word::FundingNotAllowed,
        Fault::ExpiryIncomplete => Word::IncompleteExpiry,
        Fault::ExpiryInvalid => Word::InvalidExpiry,
        Fault::ExpiryPast => Word::ExpiryPast,
        Fault::CvcIncomplete | Fault::CvcInvalid if brand.facts().cvc_length == 4 => Word::Cvc4,
        Fault::CvcIncomplete | Fault::CvcInvalid => Word::Cvc3,
        Fault::NameIncomplete | Fault::NameInvalid => Word::InvalidName,
        Fault::PostalCodeIncomplete | Fault::PostalCodeInvalid => Word::InvalidPostalCode,
    };
    let text = get(word);
    match text.split_once("{brand}") {
        Some((before, after)) => [before, brand.facts().name, after].concat(),
        None => text,
    }
}

/// The brand in words; nothing while it is unknown.
#[must_use]
pub fn brand(brand: Kind<'static>) -> &'static str {
    if brand.is_unknown() {
        ""
    } else {
        brand.facts().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use card::Brand;

    #[test]
    fn an_overlay_changes_what_it_has() {
        lay(|key| match key {
            "offline" => Some("Keine Verbindung".to_owned()),
            "failed" => Some("x".repeat(401)),
            _ => None,
        });
        assert_eq!(get(Word::Offline), "Keine Verbindung");
        assert!(get(Word::Failed).starts_with("The card"), "too long");
        lay(|_| None);
        assert!(get(Word::Offline).starts_with("The card"));
    }

    #[test]
    fn a_fault_speaks_of_the_brand() {
        for (wrong, brand, expected) in [
            (
                Fault::CvcInvalid,
                Brand::Amex,
                "Enter the 4 digits on the front of the card.",
            ),
            (
                Fault::CvcInvalid,
                Brand::Visa,
                "Enter the 3 digits on the back of the card.",
            ),
            (
                Fault::BrandNotAllowed,
                Brand::Amex,
                "American Express is not accepted here. Use another card.",
            ),
        ] {
            assert_eq!(fault(wrong, brand.into()), expected);
        }
    }

    #[test]
    fn keys_are_unique() {
        for (at, (key, english)) in ENGLISH.iter().enumerate() {
            assert!(!english.is_empty());
            assert!(ENGLISH[..at].iter().all(|(other, _)| other != key), "{key}");
        }
    }
}
