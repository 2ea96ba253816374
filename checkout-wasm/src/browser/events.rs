//! What the buyer does: one set of listeners for all fields of a document, since these events bubble.

use wasm_bindgen::prelude::*;
use web_sys::{Document, Element, Event, FocusEvent, InputEvent, KeyboardEvent};

use super::frame::Frame;
use crate::form::Field;

/// Listens to the fields of `document`.
pub fn listen(frame: &'static Frame, document: &Document) {
    on(document, "input", move |event| {
        if let Some(field) = field_of(event) {
            // Autofill dispatches a plain Event: it has no `inputType`, which reads as no deletion.
            let input_type = event
                .dyn_ref::<InputEvent>()
                .map(InputEvent::input_type)
                .unwrap_or_default();
            frame.typed(field, &input_type);
        } else if let Some(target) = event.target() {
            frame.picked(&target.unchecked_into());
        }
    });
    on(document, "focusin", move |event| {
        if other_side(event).is_none() {
            frame.entered();
        }
    });
    on(document, "focusout", move |event| {
        if let Some(field) = field_of(event) {
            frame.left(field, other_side(event).is_none());
        }
    });
    on(document, "keydown", move |event| {
        if let Some(event) = event.dyn_ref::<KeyboardEvent>() {
            frame.pressed(&event.key());
        }
    });
}

fn on(document: &Document, name: &str, act: impl Fn(&Event) + 'static) {
    let listener = Closure::<dyn Fn(Event)>::new(move |event| act(&event));
    _ = document.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
    listener.forget();
}

/// Where the focus comes from or goes to, if that is in this document.
fn other_side(event: &Event) -> Option<web_sys::EventTarget> {
    event.dyn_ref::<FocusEvent>()?.related_target()
}

fn field_of(event: &Event) -> Option<Field> {
    Field::of_id(&event.target()?.unchecked_into::<Element>().id())
}
