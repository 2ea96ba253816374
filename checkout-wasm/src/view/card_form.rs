//! The form: three fields on a grid, what the page has to say, and a live region.

use leptos::prelude::*;

use super::field::FieldRow;
use crate::form::{Field, Form};
use crate::words;

/// The card form. It has no listeners of its own: events bubble, and `browser` listens once for all fields.
#[component]
pub fn CardForm(
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
            <FieldRow field=Field::Number form />
            <FieldRow field=Field::Expiry form />
            <FieldRow field=Field::Cvc form />
            <p class="fault message" hidden=move || message.with(String::is_empty)>
                {move || message.get()}
            </p>
            <p class="said" role="status">
                {said}
            </p>
        </form>
    }
}
