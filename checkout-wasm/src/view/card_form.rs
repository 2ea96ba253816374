//! The form: its fields on a grid, what the page has to say, and a live region; and the form of a field page.

use leptos::prelude::*;

use super::field::FieldRow;
use crate::form::{Field, Form};
use crate::layout::Layout;
use crate::words;

/// The card form. It has no listeners of its own: events bubble, and `browser` listens once for all fields.
#[component]
pub fn CardForm(
    /// The whole card, or the CVV alone.
    layout: Layout,
    /// The form's facts.
    form: RwSignal<Form>,
    /// What the page has to say.
    message: RwSignal<String>,
) -> impl IntoView {
    let said = move || {
        let fault = form.with(|form| {
            form.first_shown()
                .map(|fault| words::fault(fault, form.brand()))
        });
        fault.unwrap_or_else(|| message.get())
    };
    view! {
        <form id="form" aria-label=words::FORM novalidate>
            // Before the fields, though the style shows it below: the fields that a page asks for are made after them.
            <p class="fault message" hidden=move || message.with(String::is_empty)>
                {move || message.get()}
            </p>
            <p class="said" role="status">
                {said}
            </p>
            {(layout == Layout::Card)
                .then(|| {
                    view! {
                        <FieldRow field=Field::Number form />
                        <FieldRow field=Field::Expiry form />
                    }
                })}
            <FieldRow field=Field::Cvc form />
        </form>
    }
}

/// One field of a split form. The page around it labels it and shows its faults; here both are for the ear.
#[component]
pub fn FieldForm(
    /// Which one.
    field: Field,
    /// The form's facts.
    form: RwSignal<Form>,
) -> impl IntoView {
    view! {
        <form id="form" aria-label=words::label(field) novalidate>
            <FieldRow field form />
        </form>
    }
}
