//! What the page asked for: which fields a document has beyond the card's own, and in which language.

use card::Brand;
use js_sys::{Object, Promise};
use leptos::prelude::*;
use pan::Country;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Document, HtmlElement};

use super::Frame;
use crate::browser::channel::{self, ToPage};
use crate::browser::{inputs, object, options};
use crate::form::{Asks, Fault, Field, Form};
use crate::layout::Layout;
use crate::{postal, words};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = front, js_name = loadWords)]
    fn load_words(locale: &JsValue, own: &JsValue) -> Promise;
    #[wasm_bindgen(js_namespace = front)]
    fn arrange(fields: &JsValue, country: &str, is_numeric: bool);
    #[wasm_bindgen(js_namespace = front)]
    fn offer(page: &Document, networks: &JsValue, chosen: &str);
    #[wasm_bindgen(js_namespace = front)]
    fn mark(page: &Document, id: &str, fault: &str);
}

impl Frame {
    /// What no component keeps up to date: the fields that the page asks for, and beside the number the networks of a
    /// co-badged card.
    pub(super) fn show_extras(&self) {
        let form = self.form.get_untracked();
        for field in [Field::Name, Field::PostalCode] {
            if let Some(page) = inputs::document(field) {
                let fault = form.shown(field);
                let fault = fault.map_or_else(String::new, |fault| self.in_words(fault));
                mark(&page, field.id(), &fault);
            }
        }
        if let Some(page) = inputs::document(Field::Number)
            && self.offered.replace(form.choices()) != form.choices()
        {
            let network = form.network().map_or("", |network| network.facts().id);
            offer(&page, &channel::networks(form.choices()), network);
        }
    }

    pub(super) fn in_words(&self, fault: Fault) -> String {
        words::fault(fault, self.form.with_untracked(Form::brand))
    }

    /// Takes the page's options: what the form asks for at once, its words when they are there.
    pub(super) fn heed(&'static self, given: &JsValue) {
        let options = Object::assign(&self.options, given.unchecked_ref());
        self.vault.bind(object::text(&options, "session"));
        let asks = options::asks(&options, &|option| ToPage::Refused(option).send());
        let country = options::country(&options);
        self.ask(asks, country);
        let look = self.looks.get() + 1;
        self.looks.set(look);
        let [locale, own] = ["locale", "words"].map(|name| object::get(&options, name));
        let words = load_words(&locale.unwrap_or_default(), &own.unwrap_or_default());
        spawn_local(async move {
            if let Ok(overlay) = JsFuture::from(words).await
                && self.looks.get() == look
            {
                words::lay(|key| object::text(&overlay, key));
                // What is wrong is said anew, and countries have other names.
                let form = self.form.get_untracked();
                self.ask(form.asks(), form.country());
            }
        });
    }

    pub(super) fn ask(&self, mut asks: Asks, country: Option<Country>) {
        let mut fields = None;
        if self.layout == Layout::Card {
            fields = object::get(&self.options, "fields");
        } else {
            // Other layouts have the fields that have a document, and no more.
            let [name, postal_code, save] =
                Field::EXTRA.map(|field| inputs::document(field).is_some());
            asks = Asks {
                name,
                postal_code,
                save,
                country: false,
                ..asks
            };
        }
        let code = country.as_ref().map_or("", Country::as_str);
        arrange(
            &fields.unwrap_or_default(),
            code,
            postal::is_numeric(country),
        );
        self.change(|form| {
            form.ask(asks, country);
            inputs::read(form);
        });
    }

    /// The buyer picked: a network by its radio, or the country.
    pub fn picked(&self, input: &HtmlElement) {
        let id = input.id();
        if id == "country" {
            let country = object::text(input, "value").unwrap_or_default();
            let asks = self.form.with_untracked(Form::asks);
            self.ask(asks, Country::parse(&country).ok());
        } else if let Some(network) = Brand::from_id(&id) {
            self.change(|form| form.choose(network));
        }
    }
}
