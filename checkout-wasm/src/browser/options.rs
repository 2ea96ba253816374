//! What the page sets: optional fields, brands and country. What is not there is off; what is wrong is told.

use card::Brand;
use card::brand::{Facts, Lengths};
use card::own::{OwnBrand, range};
use js_sys::Array;
use pan::Country;
use wasm_bindgen::prelude::*;

use super::object::{get, number, text};
use crate::asks::Asks;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = front, js_name = countryOf)]
    fn country_of(options: &JsValue) -> String;
}

/// What the page asks the form for. `refuse` hears of each option that is not one.
pub fn asks(options: &JsValue, refuse: &dyn Fn(&str)) -> Asks {
    let fields = get(options, "fields").unwrap_or_default();
    let has = |name| get(&fields, name).is_some_and(|value| value.is_truthy());
    let brands = |name: &str| {
        let list = get(options, name).filter(Array::is_array)?;
        let brand = |id: JsValue| {
            let brand = id.as_string().and_then(|id| Brand::from_id(&id));
            if brand.is_none() {
                refuse(name);
            }
            brand
        };
        Some(
            Array::from(&list)
                .iter()
                .filter_map(brand)
                .collect::<Vec<_>>(),
        )
    };
    let mut preferred = [Brand::Unknown; 4];
    for (at, brand) in brands("preferredNetwork").into_iter().flatten().enumerate() {
        if let Some(place) = preferred.get_mut(at) {
            *place = brand;
        }
    }
    Asks {
        name: has("name"),
        postal_code: has("postalCode"),
        country: has("country"),
        save: has("saveCard"),
        allowed: brands("allowedBrands").map(|brands| brands.into_iter().collect()),
        preferred,
    }
}

/// The merchant's own brands, as the vault's field session lists them. They live as long as the document, like the form.
pub fn own_brands(list: &JsValue) -> &'static [OwnBrand<'static>] {
    let read = |brand: JsValue| {
        let word = |name| text(&brand, name).map(|text| &*text.leak());
        let list = |name| Array::from(&get(&brand, name).unwrap_or_default());
        let numbers = |name| {
            let numbers = list(name).into_iter().filter_map(|number| number.as_f64());
            numbers.map(|number| number as u8).collect::<Vec<_>>()
        };
        let prefixes = list("prefixes")
            .into_iter()
            .filter_map(|text| text.as_string());
        let cvc_length = number(&brand, "cvc_length")? as u8;
        Some(OwnBrand {
            facts: Facts {
                id: word("id")?,
                name: word("name")?,
                lengths: Lengths::of(&numbers("lengths")),
                cvc_length,
                // What is not there is not asked for.
                cvc_label: if cvc_length > 0 { "CVC" } else { "" },
            },
            prefixes: prefixes.map(|text| range(text.leak())).collect(),
            gaps: Lengths::of(&numbers("gaps")),
            luhn: get(&brand, "luhn")?.is_truthy(),
        })
    };
    if !Array::is_array(list) {
        return &[];
    }
    let brands = Array::from(list).into_iter().filter_map(read);
    brands.collect::<Vec<_>>().leak()
}

/// The country that the buyer picked, else the page names, else the region of the locale, where it has one.
pub fn country(options: &JsValue) -> Option<Country> {
    Country::parse(&country_of(options)).ok()
}
