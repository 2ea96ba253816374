//! What the buyer does: one set of listeners for all fields of a document, since these events bubble.
//!
//! Events are read by name and not by type: those of a field page are of its own realm, where no type of this one fits.

use wasm_bindgen::prelude::*;
use web_sys::{Document, Element, Event};

use super::frame::Frame;
use super::object::{get, text};
use crate::form::Field;

/// What keeps listening for as long as it is kept.
pub type Listener = Closure<dyn Fn(Event)>;

/// Listens to `document` and the `fields` in it.
pub fn listen(
    frame: &'static Frame,
    document: &Document,
    fields: &'static [Field],
) -> Vec<Listener> {
    let mut listeners = Vec::with_capacity(4);
    let mut on = |name: &str, act: fn(&'static Frame, &Event, &[Field])| {
        let listener = Listener::new(move |event| act(frame, &event, fields));
        _ = document.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
        listeners.push(listener);
    };
    on("input", |frame, event, _| {
        if let Some(field) = field_of(event) {
            // Autofill dispatches a plain Event: it has no `inputType`, which reads as no deletion.
            frame.typed(field, &text(event, "inputType").unwrap_or_default());
        } else if let Some(target) = event.target() {
            frame.picked(&target.unchecked_into());
        }
    });
    on("focusin", |frame, event, fields| {
        if !is_inside(event) {
            frame.entered(fields);
        }
    });
    on("focusout", |frame, event, fields| {
        if let Some(field) = field_of(event) {
            frame.left(field);
        }
        if !is_inside(event) {
            frame.exited(fields);
        }
    });
    on("keydown", |frame, event, fields| {
        frame.pressed(fields, &text(event, "key").unwrap_or_default());
    });
    listeners
}

/// Whether the focus comes from, or goes to, somewhere in the same document.
fn is_inside(event: &Event) -> bool {
    get(event, "relatedTarget").is_some_and(|other| other.is_object())
}

fn field_of(event: &Event) -> Option<Field> {
    Field::of_id(&event.target()?.unchecked_into::<Element>().id())
}
