//! Plain JavaScript objects, read and written by name. Reading never trusts a shape: what is not there is none.

use js_sys::{Object, Reflect};
use wasm_bindgen::JsValue;

/// A property of anything; none when there is no such property or no object.
#[must_use]
pub fn get(value: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(value, &JsValue::from_str(name)).ok()
}

/// A property that is a string.
#[must_use]
pub fn text(value: &JsValue, name: &str) -> Option<String> {
    get(value, name)?.as_string()
}

/// A property that is a number.
#[must_use]
pub fn number(value: &JsValue, name: &str) -> Option<f64> {
    get(value, name)?.as_f64()
}

/// An object of these properties.
#[must_use]
pub fn object(properties: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in properties {
        set(&object, name, value);
    }
    object.into()
}

/// Sets a property of an object that [`object`] made, where it cannot fail.
pub fn set(object: &JsValue, name: &str, value: &JsValue) {
    _ = Reflect::set(object, &JsValue::from_str(name), value);
}
