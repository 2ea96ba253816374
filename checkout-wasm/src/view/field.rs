//! One field: label, input, what is wrong with it; and, beside the number, the brand in words.

use leptos::prelude::*;

use crate::form::{Field, Form};
use crate::words;

/// A labelled input with its fault. The ids tie them together for assistive technology.
#[component]
pub fn FieldRow(
    /// Which one.
    field: Field,
    /// The form's facts.
    form: RwSignal<Form>,
) -> impl IntoView {
    let ids = Ids::of(field);
    let fault = move || form.with(|form| form.shown(field).map(|fault| (fault, form.brand())));
    view! {
        <div class=ids.row>
            <label for=field.id()>{words::label(field)}</label>
            <div class="control">
                <input
                    id=field.id()
                    type="text"
                    inputmode="numeric"
                    autocomplete=ids.autocomplete
                    placeholder=move || form.with(|form| words::placeholder(field, form.brand()))
                    aria-invalid=move || if fault().is_some() { "true" } else { "false" }
                    aria-describedby=ids.described_by
                    aria-required="true"
                    spellcheck="false"
                />
                {(field == Field::Number).then(|| view! { <BrandBadge form /> })}
            </div>
            <p class="fault" id=ids.fault hidden=move || fault().is_none()>
                {move || fault().map_or_else(String::new, |(fault, brand)| words::fault(fault, brand))}
            </p>
        </div>
    }
}

/// The brand in words: a badge to the eye, part of the number's description to the ear.
#[component]
fn BrandBadge(
    /// The form's facts.
    form: RwSignal<Form>,
) -> impl IntoView {
    // Owned like the other texts: text of another type would be another copy of all that keeps a text up to date.
    let brand = move || words::brand(form.with(Form::brand)).to_owned();
    view! {
        <span class="brand" id="number-brand" hidden=move || brand().is_empty()>
            {brand}
        </span>
    }
}

/// The fixed strings of a field's markup.
struct Ids {
    row: &'static str,
    autocomplete: &'static str,
    fault: &'static str,
    described_by: &'static str,
}

impl Ids {
    fn of(field: Field) -> Self {
        let (row, autocomplete, fault, described_by) = match field {
            Field::Number => (
                "row number",
                "cc-number",
                "number-fault",
                "number-fault number-brand",
            ),
            Field::Expiry => ("row", "cc-exp", "expiry-fault", "expiry-fault"),
            // `extras.js` makes those that are not the document's own after this one.
            Field::Cvc | Field::Name | Field::PostalCode | Field::Save => {
                ("row", "cc-csc", "cvc-fault", "cvc-fault")
            }
        };
        Self {
            row,
            autocomplete,
            fault,
            described_by,
        }
    }
}
