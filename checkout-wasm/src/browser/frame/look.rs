//! What the page asked for: how a document looks, which fields it has beyond the card's own, and in which language.

use card::Brand;
use js_sys::Promise;
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

#[wasm_bindgen(module = "/src/browser/extras.js")]
extern "C" {
    #[wasm_bindgen(js_name = loadWords)]
    fn load_words(locale: Option<String>, own: &JsValue) -> Promise;
    fn arrange(fields: &JsValue, country: &str, is_numeric: bool);
    fn offer(page: &Document, networks: &JsValue, chosen: &str);
    fn mark(id: &str, fault: &str);
}

impl Frame {
    /// What is not in the documents from the beginning: fields that the page asks for, where all are in one document, and
    /// beside the number the networks of a co-badged card.
    pub(super) fn show_extras(&self) {
        let form = self.form.get_untracked();
        for field in [Field::Name, Field::PostalCode] {
            if form.asks().has(field) {
                let fault = form.shown(field);
                let fault = fault.map_or_else(String::new, |fault| self.in_words(fault));
                mark(field.id(), &fault);
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

    /// Gives a document the look that the page asked for last.
    pub(super) fn look(&'static self, document: &Document) {
        let options = self.options.borrow();
        let refuse = Closure::<dyn Fn(String)>::new(move |option: String| {
            self.channel.tell(&ToPage::Refused(&option));
        });
        options::look(document, &options, refuse.as_ref());
        // Fonts are refused later.
        refuse.forget();
        let disabled = object::get(&options, "disabled").is_some_and(|value| value.is_truthy());
        for id in Field::ALL
            .map(Field::id)
            .into_iter()
            .chain(["country", "save"])
        {
            if let Some(input) = document.get_element_by_id(id) {
                _ = input.toggle_attribute_with_force("disabled", disabled);
            }
        }
    }

    /// Takes the page's options: what the form asks for at once, its words when they are there.
    pub(super) fn heed(&'static self, options: JsValue) {
        let refuse = |option: &str| self.channel.tell(&ToPage::Refused(option));
        let asks = options::asks(&options, &refuse);
        let country = options::country(&options);
        let fields = object::get(&options, "fields").unwrap_or_default();
        self.fields.replace(fields);
        self.ask(asks, country);
        let look = self.looks.get() + 1;
        self.looks.set(look);
        let own = object::get(&options, "words").unwrap_or_default();
        let words = load_words(object::text(&options, "locale"), &own);
        self.options.replace(options);
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

    fn ask(&self, mut asks: Asks, country: Option<Country>) {
        if self.layout == Layout::Card {
            let code = country.as_ref().map_or("", Country::as_str);
            arrange(&self.fields.borrow(), code, postal::is_numeric(country));
            for field in [Field::Name, Field::PostalCode] {
                _ = inputs::place(field, &document());
            }
        } else {
            // Other layouts have the card's own fields and no more.
            asks = Asks {
                allowed: asks.allowed,
                preferred: asks.preferred,
                ..Asks::default()
            };
        }
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
