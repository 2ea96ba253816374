//! The inputs of the document: the only place that holds the card while it is typed.

use card::{Expiry, Month, expiry, number};
use pan::{CardData, Cvv, HolderName, Pan, PostalCode};
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
    by_id(field.id())
}

/// Lets the form look at what the inputs hold.
pub fn read(form: &mut Form) {
    let [number, expiry, cvc, name, postal_code] = Field::ALL.map(value);
    let entry = Entry {
        number: &digits(&number),
        expiry: &expiry,
        cvc: &digits(&cvc),
        name: &name,
        postal_code: &postal_code,
    };
    form.read(entry, today());
}

/// The card, for sealing; none when something is not right after all. `name` is the page's, for a form without that
/// field.
#[must_use]
pub fn card(form: &Form, name: Option<HolderName>) -> Option<CardData> {
    let [number, expiry, cvc, typed_name, postal_code] = Field::ALL.map(value);
    let number = Pan::parse(&digits(&number)).ok()?;
    let cvc = Cvv::parse(&digits(&cvc), number.brand()).ok()?;
    let asks = form.asks();
    Some(CardData {
        expiry: parse_expiry(&expiry)?,
        number,
        cvc: Some(cvc),
        name: if asks.name {
            Some(HolderName::parse(&typed_name).ok()?)
        } else {
            name
        },
        postal_code: ascii(&postal_code).and_then(|code| PostalCode::parse(&code).ok()),
        country: form.country().filter(|_| asks.country || asks.postal_code),
        network: form.network(),
    })
}

/// Whether the buyer wants the card saved; none where he was not asked.
#[must_use]
pub fn is_save_ticked() -> Option<bool> {
    Some(by_id("save")?.checked())
}

fn by_id(id: &str) -> Option<HtmlInputElement> {
    window()?
        .document()?
        .get_element_by_id(id)
        .map(JsCast::unchecked_into)
}

// Postal codes are typed in the digits of the buyer's keyboard, too.
fn ascii(text: &str) -> Option<String> {
    let digit = |c| number::ascii_digit(c).unwrap_or(c);
    (!text.is_empty()).then(|| text.chars().map(digit).collect())
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
