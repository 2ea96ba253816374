//! The field pages of a split form, as this frame finds them beside itself (`siblings.js` judges which are its own).

use wasm_bindgen::prelude::*;
use web_sys::Document;

use crate::form::Field;

#[wasm_bindgen(module = "/src/browser/siblings.js")]
extern "C" {
    #[wasm_bindgen(js_name = findSiblings)]
    fn find_siblings(found: &JsValue);
}

/// Calls `found` for each field page of this mount, whenever it comes.
pub fn find(found: impl Fn(Field, Document) + 'static) {
    let found = Closure::<dyn Fn(String, Document)>::new(move |id: String, document| {
        if let Some(field) = Field::of_id(&id) {
            found(field, document);
        }
    });
    find_siblings(found.as_ref());
    found.forget();
}
