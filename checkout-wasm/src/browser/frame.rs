//! What there is one of in a frame: the form's signal, the channel, the vault; and how they act on each other.

use std::cell::{Cell, RefCell};

use any_spawner::Executor;
use card::Brand;
use card::brand::Brands;
use js_sys::Promise;
use leptos::prelude::*;
use pan::Country;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{HtmlElement, ResizeObserver, UrlSearchParams, Window};

use super::channel::{Change, Channel, FromPage, ToPage};
use super::vault::{Refusal, Vault};
use super::{channel, events, inputs, object, options};
use crate::edit::{self, Deletion, Typed};
use crate::form::{Asks, Fault, Field, Form};
use crate::mode::Mode;
use crate::view::CardForm;
use crate::words::{self, Word};
use crate::{postal, refusal};

/// A form narrower than this, in CSS pixels, is not on show.
const MIN_BREADTH: f64 = 64.0;

/// What the page may say at most, in bytes.
const MAX_MESSAGE: usize = 500;

#[wasm_bindgen(module = "/src/browser/extras.js")]
extern "C" {
    #[wasm_bindgen(js_name = loadWords)]
    fn load_words(locale: Option<String>, own: &JsValue) -> Promise;
    fn arrange(fields: &JsValue, country: &str, is_numeric: bool);
    fn offer(networks: &JsValue, chosen: &str);
    fn mark(id: &str, fault: &str);
}

/// One frame; it lives as long as its document.
pub struct Frame {
    mode: Mode,
    form: RwSignal<Form>,
    /// What the page has to say below the fields.
    message: RwSignal<String>,
    channel: Channel,
    vault: Vault,
    /// Digits in each input before the event at hand.
    digits: [Cell<usize>; Field::ALL.len()],
    /// The facts that the page knows; an empty form is no news.
    told: Cell<Change>,
    /// The networks on offer.
    offered: Cell<Brands>,
    /// The optional fields, as the page asked for them.
    fields: RefCell<JsValue>,
    /// How often the page has set its options: only the last time's words count.
    looks: Cell<u32>,
}

/// Takes over the form that the document brought, with what was typed meanwhile, and shakes hands with the parent.
pub fn start() {
    let Some(window) = web_sys::window() else {
        return;
    };
    let (key, origin) = address(&window);
    // A key of neither kind was refused by the vault already; test mode is what opened by hand means.
    let mode = Mode::of_key(&key).unwrap_or(Mode::Test);
    // The error is that there is one already.
    _ = Executor::init_wasm_bindgen();
    let owner = Owner::new();
    let frame: &'static Frame = owner.with(|| {
        Box::leak(Box::new(Frame {
            mode,
            form: RwSignal::new(Form::new(mode)),
            message: RwSignal::new(String::new()),
            channel: Channel::default(),
            vault: Vault::new(key),
            digits: Default::default(),
            told: Cell::new(Change::of(&Form::new(mode))),
            offered: Cell::default(),
            fields: RefCell::default(),
            looks: Cell::default(),
        }))
    });
    let elements = owner.with(|| {
        view! { <CardForm form=frame.form message=frame.message /> }
            .hydrate_from::<true>(&document().body().expect_throw("a body"))
    });
    // Both live as long as the document.
    std::mem::forget(elements);
    std::mem::forget(owner);
    events::listen(frame, &document());
    frame.adopt();
    frame.open(&window, &origin);
}

/// The query parameters `key` and `origin` of this document.
fn address(window: &Window) -> (String, String) {
    let query = window.location().search().unwrap_or_default();
    let parameter = |name| {
        UrlSearchParams::new_with_str(&query)
            .ok()
            .and_then(|parameters| parameters.get(name))
            .unwrap_or_default()
    };
    (parameter("key"), parameter("origin"))
}

impl Frame {
    fn open(&'static self, window: &Window, origin: &str) {
        let is_secure = window.is_secure_context();
        self.channel.open(
            window,
            origin,
            move |options| {
                self.look(&options);
                self.watch_height();
                self.tell_change();
                self.channel.tell(&if is_secure {
                    ToPage::Ready
                } else {
                    // Without a secure context there is no WebCrypto, and without it no sealing.
                    ToPage::LoadError("insecure_context")
                });
            },
            move |message| self.obey(message),
        );
        // A page kept for the back button must not keep a card.
        let hidden = Closure::<dyn Fn()>::new(move || self.clear(&Field::ALL));
        _ = window.add_event_listener_with_callback("pagehide", hidden.as_ref().unchecked_ref());
        hidden.forget();
    }

    /// What the buyer typed before there was anybody to read it.
    fn adopt(&self) {
        for field in Field::ALL {
            if inputs::input(field).is_some_and(|input| !input.value().is_empty()) {
                self.typed(field, "");
            }
        }
    }

    fn obey(&'static self, message: FromPage) {
        match message {
            FromPage::Focus => {
                let fault = self.form.with_untracked(Form::first_shown);
                focus(fault.map_or(Field::Number, Fault::field));
            }
            FromPage::Blur => blur(),
            FromPage::Clear => self.clear(&Field::ALL),
            FromPage::Update(options) => self.look(&options),
            FromPage::Validate => self.change(|form| {
                form.submitted();
            }),
            FromPage::Error(words) => self.say(words),
            FromPage::Fill(fields) => self.fill(&fields),
            FromPage::Tokenise { id, name } => spawn_local(async move {
                self.answer(id, self.tokenise(name.as_deref()).await);
            }),
        }
    }

    /// What a test of the merchant's types, where only test cards are taken. In live mode nobody fills but the buyer.
    fn fill(&self, fields: &JsValue) {
        for field in Field::ALL {
            let text = object::text(fields, field.id()).filter(|_| self.mode == Mode::Test);
            if let Some((text, input)) = text.zip(inputs::input(field)) {
                input.set_value(&text);
                self.typed(field, "");
                self.left(field, false);
            }
        }
    }

    /// An input event: the text is regrouped, the caret kept, the facts told.
    pub fn typed(&self, field: Field, input_type: &str) {
        let Some(input) = inputs::input(field) else {
            return;
        };
        let text = zeroize::Zeroizing::new(input.value());
        let caret = input.selection_start().ok().flatten().unwrap_or(u32::MAX);
        let typed = Typed {
            text: &text,
            caret: caret as usize,
            digits_before: self.digits[field as usize].get(),
            deletion: Deletion::of_input_type(input_type),
        };
        let shown = match field {
            Field::Number => edit::number(typed),
            Field::Expiry => edit::expiry(typed),
            Field::Cvc => edit::cvc(typed, self.form.with_untracked(Form::brand)),
            Field::Name | Field::PostalCode => edit::as_is(typed),
        };
        self.digits[field as usize].set(shown.digits);
        if *shown.text != *text {
            input.set_value(&shown.text);
            // Autofill writes where the focus is not, and Safari moves the focus to a caret that is set.
            if is_focused(&input) {
                _ = input.set_selection_range(shown.caret as u32, shown.caret as u32);
            }
        }
        self.vault.prepare();
        self.say(String::new());
        self.change(inputs::read);
    }

    /// The page's words, as text and of a length that stays readable.
    fn say(&self, words: String) {
        if words.len() <= MAX_MESSAGE && self.message.with_untracked(|said| *said != words) {
            self.message.set(words);
        }
    }

    /// The buyer left a field, for another one or for the page.
    pub fn left(&self, field: Field, for_page: bool) {
        self.change(|form| form.left(field));
        if for_page {
            self.channel.tell(&ToPage::Blur);
        }
    }

    /// The focus came in from the page.
    pub fn entered(&self) {
        self.channel.tell(&ToPage::Focus);
    }

    /// Keys that mean something to the page around the frame.
    pub fn pressed(&self, key: &str) {
        match key {
            "Escape" => self.channel.tell(&ToPage::Escape),
            "Enter" => self.channel.tell(&ToPage::Enter),
            _ => {}
        }
    }

    async fn tokenise(&self, name: Option<&str>) -> Result<JsValue, Refusal> {
        self.say(String::new());
        let mut fault = None;
        self.change(|form| {
            inputs::read(form);
            fault = form.submitted();
        });
        if let Some(fault) = fault {
            focus(fault.field());
            return Err(Refusal {
                kind: "validation_error",
                code: fault.code().to_owned(),
                message: self.in_words(fault),
            });
        }
        let asks = self.form.with_untracked(Form::asks);
        let name = name
            .filter(|_| !asks.name)
            .map(pan::HolderName::parse)
            .transpose()
            .map_err(|_| Refusal {
                kind: "validation_error",
                code: "invalid_name".to_owned(),
                message: self.in_words(Fault::NameInvalid),
            })?;
        let form = self.form.get_untracked();
        let card = inputs::card(&form, name).ok_or_else(Refusal::failed)?;
        let token = self.vault.tokenise(&card).await?;
        if let Some(save) = inputs::is_save_ticked() {
            object::set(&token, "save_card", &save.into());
        }
        Ok(token)
    }

    fn answer(&self, id: f64, result: Result<JsValue, Refusal>) {
        match result {
            Ok(token) => {
                // PCI DSS 3.3.1 in spirit: the code has done its work. Number and expiry stay for a second try.
                self.clear(&[Field::Cvc]);
                self.channel.tell(&ToPage::Token { id, token: &token });
            }
            Err(refused) => {
                let fault = refusal::fault(&refused.code);
                if let Some(fault) = fault {
                    self.change(|form| form.refused(fault));
                }
                let message = match fault {
                    Some(fault) => self.in_words(fault),
                    None if refused.code == "network" => words::get(Word::Offline),
                    None if refused.message.is_empty() => words::get(Word::Failed),
                    None => refused.message,
                };
                self.channel.tell(&ToPage::Error {
                    id,
                    kind: refused.kind,
                    code: &refused.code,
                    message: &message,
                });
            }
        }
    }

    fn clear(&self, fields: &[Field]) {
        for field in fields {
            inputs::clear(*field);
            self.digits[*field as usize].set(0);
        }
        self.change(inputs::read);
    }

    fn change(&self, change: impl FnOnce(&mut Form)) {
        self.form.update(change);
        let form = self.form.get_untracked();
        for field in [Field::Name, Field::PostalCode] {
            if form.asks().has(field) {
                let fault = form.shown(field);
                mark(
                    field.id(),
                    &fault.map_or_else(String::new, |fault| self.in_words(fault)),
                );
            }
        }
        if self.offered.replace(form.choices()) != form.choices() {
            let network = form.network().map_or("", |network| network.facts().id);
            offer(&channel::networks(form.choices()), network);
        }
        self.tell_change();
    }

    fn tell_change(&self) {
        let now = self.form.with_untracked(Change::of);
        if self.channel.is_open() && self.told.replace(now) != now {
            let message = now.fault().map(|fault| self.in_words(fault));
            let message = message.unwrap_or_default();
            self.channel.tell(&ToPage::Change(&now, &message));
        }
    }

    fn in_words(&self, fault: Fault) -> String {
        words::fault(fault, self.form.with_untracked(Form::brand))
    }

    /// Takes the page's options: what the form asks for and how it looks at once, its words when they are there.
    fn look(&'static self, options: &JsValue) {
        let refuse = |option: &str| self.channel.tell(&ToPage::Refused(option));
        options::look(options, &refuse);
        let asks = options::asks(options, &refuse);
        let country = options::country(options);
        self.fields
            .replace(object::get(options, "fields").unwrap_or_default());
        self.ask(asks, country);
        let look = self.looks.get() + 1;
        self.looks.set(look);
        let own = object::get(options, "words").unwrap_or_default();
        let words = load_words(object::text(options, "locale"), &own);
        let disabled = object::get(options, "disabled").is_some_and(|value| value.is_truthy());
        disable(disabled);
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

    fn ask(&self, asks: Asks, country: Option<Country>) {
        let code = country.as_ref().map_or("", Country::as_str);
        arrange(&self.fields.borrow(), code, postal::is_numeric(country));
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

    fn watch_height(&'static self) {
        let Some(form) = document().get_element_by_id("form") else {
            return;
        };
        let watched = form.clone();
        let resized = Closure::<dyn Fn()>::new(move || {
            // Hidden, or between two layouts, a frame has no breadth: a word per line would make the page jump.
            let form = watched.get_bounding_client_rect();
            if form.width() >= MIN_BREADTH {
                self.channel.tell(&ToPage::Height(form.height().ceil()));
            }
        });
        if let Ok(observer) = ResizeObserver::new(resized.as_ref().unchecked_ref()) {
            observer.observe(&form);
        }
        resized.forget();
    }
}

fn disable(disabled: bool) {
    for id in Field::ALL
        .map(Field::id)
        .into_iter()
        .chain(["country", "save"])
    {
        if let Some(input) = document().get_element_by_id(id) {
            _ = input.toggle_attribute_with_force("disabled", disabled);
        }
    }
}

fn focus(field: Field) {
    if let Some(input) = inputs::input(field) {
        _ = input.focus();
    }
}

fn is_focused(input: &HtmlElement) -> bool {
    document().active_element().as_ref() == Some(input)
}

fn blur() {
    if let Some(active) = document().active_element() {
        _ = active.unchecked_into::<HtmlElement>().blur();
    }
}
