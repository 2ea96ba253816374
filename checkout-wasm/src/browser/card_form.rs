//! The form: three fields on a grid, one set of listeners for all, and a live region.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, FocusEvent, InputEvent, KeyboardEvent};

use super::field::FieldRow;
use super::frame::Frame;
use crate::form::{Field, Form};
use crate::words;

/// The card form. Input events bubble, so the form listens for its fields: a listener per field costs bytes.
#[component]
pub fn CardForm(
    /// What the events act on.
    frame: &'static Frame,
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
        fault.map_or_else(|| message.get(), ToOwned::to_owned)
    };
    view! {
        <form
            id="form"
            aria-label=words::FORM
            novalidate
            on:input=move |event| on_input(frame, &event)
            on:focusin=move |event| on_focusin(frame, &event)
            on:focusout=move |event| on_focusout(frame, &event)
            on:keydown=move |event| on_keydown(frame, &event)
        >
            <FieldRow field=Field::Number form />
            <FieldRow field=Field::Expiry form />
            <FieldRow field=Field::Cvc form />
            <p class="fault message">{move || message.get()}</p>
            <p class="said" role="status">
                {said}
            </p>
        </form>
    }
}

fn on_input(frame: &Frame, event: &Event) {
    if let Some(field) = field_of(event) {
        // Autofill dispatches a plain Event: its `inputType` is undefined and reads as no deletion.
        let input_type = event
            .dyn_ref::<InputEvent>()
            .map(InputEvent::input_type)
            .unwrap_or_default();
        frame.typed(field, &input_type);
    }
}

fn on_focusin(frame: &Frame, event: &FocusEvent) {
    if event.related_target().is_none() {
        frame.entered();
    }
}

fn on_focusout(frame: &Frame, event: &FocusEvent) {
    if let Some(field) = field_of(event) {
        frame.left(field, event.related_target().is_none());
    }
}

fn on_keydown(frame: &Frame, event: &KeyboardEvent) {
    frame.pressed(&event.key());
}

fn field_of(event: &Event) -> Option<Field> {
    Field::of_id(&event.target()?.unchecked_into::<Element>().id())
}
