//! What the buyer types and leaves: one set of listeners for all fields of a document, since these events bubble. What else
//! the buyer does is `front.js`'s to tell.
//!
//! Events are read by name and not by type: those of a field page are of its own realm, where no type of this one fits.

use wasm_bindgen::prelude::*;
use web_sys::{Document, Element, Event};

use super::frame::Frame;
use super::object::text;
use crate::form::Field;

/// What keeps listening for as long as it is kept.
pub type Listener = Closure<dyn Fn(Event)>;

/// Listens to `document`.
pub fn listen(frame: &'static Frame, document: &Document) -> [Listener; 2] {
    let on = |name: &str, act: fn(&'static Frame, &Event)| {
        let listener = Listener::new(move |event| act(frame, &event));
        _ = document.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
        listener
    };
    let input = on("input", |frame, event| {
        if let Some(field) = field_of(event) {
            // Autofill dispatches a plain Event: it has no `inputType`, which reads as no deletion.
            frame.typed(field, &text(event, "inputType").unwrap_or_default());
        } else if let Some(target) = event.target() {
            frame.picked(&target.unchecked_into());
        }
    });
    let left = on("focusout", |frame, event| {
        if let Some(field) = field_of(event) {
            frame.left(field);
        }
    });
    [input, left]
}

fn field_of(event: &Event) -> Option<Field> {
    Field::of_id(&event.target()?.unchecked_into::<Element>().id())
}
