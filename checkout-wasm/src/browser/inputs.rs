//! The three inputs of the document: the only place that holds the card while it is typed.

use card::{Expiry, Month, expiry, number};
use pan::{CardData, Cvv, HolderName, Pan};
use wasm_bindgen::JsCast;
use web_sys::{HtmlInputElement, window};
use zeroize::Zeroizing;

use crate::form::{Entry, Field, Form};

/// The current month, by the device's clock.
#[must_use]
pub fn today() -> Month {
    Month::of_unix((js_sys::Date::now() / 1000.0) as i64)
}

/// A field's input.
#[must_use]
pub fn input(field: Field) -> Option<HtmlInputElement> {
    window()?
        .document()?
        .get_element_by_id(field.id())
        .map(JsCast::unchecked_into)
}

/// Lets the form look at what the inputs hold.
pub fn read(form: &mut Form) {
    let [number, expiry, cvc] = Field::ALL.map(value);
    let entry = Entry {
        number: &digits(&number),
        expiry: &expiry,
        cvc: &digits(&cvc),
    };
    form.read(entry, today());
}

/// The card, for sealing; none when something is not right after all.
#[must_use]
pub fn card(name: Option<HolderName>) -> Option<CardData> {
    let [number, expiry, cvc] = Field::ALL.map(value);
    let number = Pan::parse(&digits(&number)).ok()?;
    let cvc = Cvv::parse(&digits(&cvc), number.brand()).ok()?;
    Some(CardData {
        expiry: parse_expiry(&expiry)?,
        number,
        cvc: Some(cvc),
        name,
        postal_code: None,
        country: None,
        network: None,
    })
}

/// Empties an input.
pub fn clear(field: Field) {
    if let Some(input) = input(field) {
        input.set_value("");
    }
}

fn parse_expiry(text: &str) -> Option<Expiry> {
    expiry::parse(text, today()).ok()
}

fn value(field: Field) -> Zeroizing<String> {
    Zeroizing::new(input(field).map(|input| input.value()).unwrap_or_default())
}

fn digits(text: &str) -> Zeroizing<String> {
    Zeroizing::new(number::digits_of(text, usize::MAX))
}
