//! The inputs: the only place that holds the card while it is typed. In one frame they are in its document, in a split
//! form each is in the document of a field page.

use std::cell::RefCell;

use card::{Brand, Expiry, Month, expiry, number};
use pan::{CardData, Cvv, HolderName, Pan, PostalCode};
use wasm_bindgen::JsCast;
use web_sys::{Document, HtmlInputElement};
use zeroize::Zeroizing;

use crate::form::{Entry, Field, Form};

/// The current month, by the device's clock.
#[must_use]
pub fn today() -> Month {
    Month::of_unix((js_sys::Date::now() / 1000.0) as i64)
}

thread_local! {
    /// The document of each field, once it is there.
    static DOCUMENTS: RefCell<[Option<Document>; Field::ALL.len()]> = RefCell::default();
}

/// The document that a field's input is in. One that was taken off the page has no window any more.
#[must_use]
pub fn document(field: Field) -> Option<Document> {
    DOCUMENTS
        .with_borrow(|documents| documents[field as usize].clone())
        .filter(|document| document.default_view().is_some())
}

/// Says which document a field's input is in.
pub fn place(field: Field, document: &Document) {
    DOCUMENTS.with_borrow_mut(|documents| documents[field as usize] = Some(document.clone()));
}

/// The page took the field's document away.
pub fn displace(field: Field) {
    DOCUMENTS.with_borrow_mut(|documents| documents[field as usize] = None);
}

/// A field's input.
#[must_use]
pub fn input(field: Field) -> Option<HtmlInputElement> {
    document(field)?
        .get_element_by_id(field.id())
        .map(JsCast::unchecked_into)
}

/// Lets the form look at what the inputs hold.
pub fn read(form: &mut Form) {
    let [number, expiry, cvc, name, postal_code, _] = Field::ALL.map(value);
    let entry = Entry {
        number: &digits(&number),
        expiry: &expiry,
        cvc: &digits(&cvc),
        name: &name,
        postal_code: &postal_code,
        save: is_save_ticked() == Some(true),
    };
    form.read(entry, today());
}

/// The card, for sealing; none when something is not right after all. `name` is the page's, for a form without that
/// field.
#[must_use]
pub fn card(form: &Form, name: Option<HolderName>) -> Option<CardData> {
    let [number, expiry, cvc, typed_name, postal_code, _] = Field::ALL.map(value);
    let number = Pan::parse_as(&digits(&number), form.brand()).ok()?;
    let cvc = Cvv::parse_as(&digits(&cvc), form.brand()).ok();
    if cvc.is_none() && form.brand().max_cvc_length() > 0 {
        return None;
    }
    let asks = form.asks();
    Some(CardData {
        expiry: parse_expiry(&expiry)?,
        number,
        cvc,
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

/// The first digits of the number, when there are so many; zeros without. Of eight, six until the number is so long
/// that they do not give it away with the last four.
#[must_use]
pub fn bin(many: usize) -> [u8; 8] {
    let number = digits(&value(Field::Number));
    let many = if number.len() < 16 { many.min(6) } else { many };
    let mut bin = [0; 8];
    if let (Some(from), Some(to)) = (number.as_bytes().get(..many), bin.get_mut(..many)) {
        to.copy_from_slice(from);
    }
    bin
}

/// The CVV alone.
#[must_use]
pub fn cvc() -> Option<Cvv> {
    Cvv::parse(&digits(&value(Field::Cvc)), Brand::Unknown).ok()
}

/// Whether the buyer wants the card saved; none where he was not asked.
#[must_use]
pub fn is_save_ticked() -> Option<bool> {
    Some(input(Field::Save)?.checked())
}

// Postal codes are typed in the digits of the buyer's keyboard, too.
fn ascii(text: &str) -> Option<String> {
    let digit = |c| number::ascii_digit(c).unwrap_or(c);
    (!text.is_empty()).then(|| text.chars().map(digit).collect())
}

/// Empties an input, or takes the tick off.
pub fn clear(field: Field) {
    if let Some(input) = input(field) {
        input.set_value("");
        input.set_checked(false);
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
