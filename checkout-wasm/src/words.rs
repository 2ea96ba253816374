//! Every string a buyer reads or hears, in English. A further language is a further column here.

use card::Brand;

use crate::form::{Fault, Field};

/// The name of the form, for assistive technology.
pub const FORM: &str = "Card details";

/// A field's label.
#[must_use]
pub fn label(field: Field) -> &'static str {
    match field {
        Field::Number => "Card number",
        Field::Expiry => "Expiry date",
        Field::Cvc => "Security code",
    }
}

/// What an empty input shows.
#[must_use]
pub fn placeholder(field: Field, brand: Brand) -> &'static str {
    match field {
        Field::Number => "1234 1234 1234 1234",
        Field::Expiry => "MM / YY",
        Field::Cvc => brand.facts().cvc_label,
    }
}

/// The brand in words; nothing while it is unknown.
#[must_use]
pub fn brand(brand: Brand) -> &'static str {
    match brand {
        Brand::Unknown => "",
        known => known.facts().name,
    }
}

/// What is wrong, and what to do about it.
#[must_use]
pub fn fault(fault: Fault, brand: Brand) -> &'static str {
    match fault {
        Fault::NumberIncomplete => "Enter the whole card number.",
        Fault::NumberInvalid => "This card number is not valid. Check the digits.",
        Fault::LiveCardInTestMode => {
            "Test mode takes only test cards, such as 4242\u{a0}4242\u{a0}4242\u{a0}4242."
        }
        Fault::TestCardInLiveMode => "This is a test card. Use a real card.",
        Fault::ExpiryIncomplete => "Enter the expiry date as month and year.",
        Fault::ExpiryInvalid => "This expiry date is not valid.",
        Fault::ExpiryPast => "This card has expired.",
        Fault::CvcIncomplete | Fault::CvcInvalid if brand == Brand::Amex => {
            "Enter the 4 digits on the front of the card."
        }
        Fault::CvcIncomplete | Fault::CvcInvalid => "Enter the 3 digits on the back of the card.",
    }
}

/// The vault could not be reached.
pub const OFFLINE: &str = "The card could not be sent. Check the connection and try again.";

/// Something went wrong that the buyer cannot mend.
pub const FAILED: &str = "The card could not be processed. Try again.";

/// The page gave a holder's name that is none.
pub const NAME: &str = "The card holder's name is not valid.";
