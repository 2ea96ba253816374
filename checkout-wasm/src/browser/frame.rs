//! What there is one of in a frame: the form's signal and the vault; and how they act on each other.

mod look;

use std::any::Any;
use std::cell::{Cell, RefCell};

use any_spawner::Executor;
use card::brand::Brands;
use js_sys::Object;
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{Document, Element, UrlSearchParams, Window};

use super::channel::{self, Change, Heard, ToPage};
use super::vault::{Refusal, Vault};
use super::{events, inputs, object, options};
use crate::edit::{self, Deletion, Typed};
use crate::form::{Fault, Field, Form};
use crate::layout::Layout;
use crate::mode::Mode;
use crate::view::{CardForm, FieldForm};
use crate::words::{self, Word};
use crate::{plaintext, refusal};

/// What the page may say at most, in bytes.
const MAX_MESSAGE: usize = 500;

/// One frame; it lives as long as its document.
pub struct Frame {
    mode: Mode,
    layout: Layout,
    form: RwSignal<Form>,
    /// What the page has to say below the fields.
    message: RwSignal<String>,
    vault: Vault,
    /// Digits in each input before the event at hand.
    digits: [Cell<usize>; Field::ALL.len()],
    /// The facts that the page knows; in a split form each field's, else the first.
    told: [Cell<Option<Change>>; Field::ALL.len()],
    /// What the page has asked for; in a split form what it has asked for any field, the last word above those before.
    options: Object,
    /// What keeps the documents' listeners and effects alive; in a split form each field's, else the first.
    kept: RefCell<[Option<Box<dyn Any>>; Field::ALL.len()]>,
    /// The networks on offer.
    offered: Cell<Brands>,
    /// How often the page has set its options: only the last time's words count.
    looks: Cell<u32>,
}

/// Takes over the forms that the documents brought, with what was typed and asked for meanwhile.
pub fn start() {
    let Some(window) = web_sys::window() else {
        return;
    };
    let [key, layout] = address(&window);
    let layout = Layout::of_name(&layout);
    // A key of neither kind was refused by the vault already; test mode is what opened by hand means.
    let mode = Mode::of_key(&key).unwrap_or(Mode::Test);
    let form = match layout {
        Layout::Cvc => Form::cvc_alone(mode),
        _ => Form::new(mode),
    };
    // The error is that there is one already.
    _ = Executor::init_wasm_bindgen();
    let owner = Owner::new();
    let frame: &'static Frame = owner.with(|| {
        Box::leak(Box::new(Frame {
            mode,
            layout,
            form: RwSignal::new(form),
            message: RwSignal::new(String::new()),
            vault: Vault::new(key),
            digits: Default::default(),
            told: Default::default(),
            options: Object::new(),
            kept: Default::default(),
            offered: Cell::default(),
            looks: Cell::default(),
        }))
    });
    // The signals live as long as the document.
    std::mem::forget(owner);
    channel::listen(move |heard| frame.act(heard));
}

/// The query parameters `key` and `layout` of this document.
fn address(window: &Window) -> [String; 2] {
    let query = window.location().search().unwrap_or_default();
    let parameters = UrlSearchParams::new_with_str(&query).ok();
    ["key", "layout"].map(|name| {
        let parameter = parameters.as_ref().and_then(|all| all.get(name));
        parameter.unwrap_or_default()
    })
}

impl Frame {
    /// Takes over a document that holds these fields, as it is, with what was typed before there was anybody to read it.
    fn take_over(&'static self, fields: &'static [Field], document: &Document) {
        let Some(body) = document.body() else {
            return;
        };
        let owner = Owner::new();
        let (layout, form, message) = (self.layout, self.form, self.message);
        let elements: Box<dyn Any> = owner.with(|| match (layout, fields) {
            // Like the same fields of a whole card, which `show_extras` keeps up to date.
            (Layout::Split, [field, ..]) if Field::EXTRA.contains(field) => {
                Box::new(()) as Box<dyn Any>
            }
            (Layout::Split, [field, ..]) => {
                let page = view! { <FieldForm field=*field form /> };
                Box::new(page.hydrate_from::<true>(&body))
            }
            _ => {
                let card = view! { <CardForm layout form message /> };
                Box::new(card.hydrate_from::<true>(&body))
            }
        });
        let all = match self.layout {
            Layout::Card => &Field::ALL,
            _ => fields,
        };
        for field in all {
            inputs::place(*field, document);
        }
        let listeners = events::listen(self, document);
        if let [field, ..] = fields {
            let keep = Box::new((owner, elements, listeners));
            self.kept.borrow_mut()[*field as usize] = Some(keep);
        }
        // A page that came in the place of another has no networks to choose from yet.
        self.offered.take();
        for field in fields {
            self.digits[*field as usize].set(0);
            if inputs::input(*field).is_some_and(|input| !input.value().is_empty()) {
                self.typed(*field, "");
            }
        }
        let form = self.form.get_untracked();
        self.ask(form.asks(), form.country());
    }

    /// Which field a message is about: in a split form one, else the form.
    fn of(&self, fields: &[Field]) -> Option<Field> {
        fields
            .first()
            .filter(|_| self.layout == Layout::Split)
            .copied()
    }

    /// The fields of each document.
    fn documents(&self) -> &'static [&'static [Field]] {
        match self.layout {
            Layout::Card => &[&Field::CARD],
            Layout::Cvc => &[&[Field::Cvc]],
            Layout::Split => &[
                &[Field::Number],
                &[Field::Expiry],
                &[Field::Cvc],
                &[Field::Name],
                &[Field::PostalCode],
                &[Field::Save],
            ],
            Layout::Field(_) => &[],
        }
    }

    fn act(&'static self, heard: Heard) {
        match heard {
            Heard::Page { field, page } => {
                let is_its = |fields: &&&[Field]| field.is_none_or(|field| fields.contains(&field));
                if let Some(fields) = self.documents().iter().find(is_its) {
                    self.take_over(fields, &page);
                }
            }
            Heard::Focus(field) => {
                let fault = self.form.with_untracked(Form::first_shown);
                let first = self.documents()[0][0];
                focus(field.unwrap_or_else(|| fault.map_or(first, Fault::field)));
            }
            Heard::Clear(Some(field)) => self.clear(&[field]),
            Heard::Clear(None) | Heard::Leave(None) => self.clear(&Field::ALL),
            Heard::Leave(Some(field)) => {
                inputs::displace(field);
                let form = self.form.get_untracked();
                self.ask(form.asks(), form.country());
            }
            Heard::Update(options) => self.heed(&options),
            Heard::Validate => self.change(|form| {
                form.submitted();
            }),
            Heard::Error(words) => self.say(words),
            Heard::Fill(fields) => self.fill(&fields),
            Heard::Tokenise { id, name } => spawn_local(async move {
                self.answer(id, self.tokenise(name.as_deref()).await);
            }),
        }
    }

    /// What a test of the merchant's types, where only test cards are taken. In live mode nobody fills but the buyer.
    fn fill(&'static self, fields: &JsValue) {
        for field in Field::ALL {
            let given = object::get(fields, field.id()).filter(|_| self.mode == Mode::Test);
            let given = given.filter(|given| !given.is_undefined());
            if let Some((given, input)) = given.zip(inputs::input(field)) {
                match given.as_string() {
                    Some(text) => input.set_value(&text),
                    None => input.set_checked(given.is_truthy()),
                }
                self.typed(field, "");
                self.left(field);
            }
        }
    }

    /// An input event: the text is regrouped, the caret kept, the facts told.
    pub fn typed(&'static self, field: Field, input_type: &str) {
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
            Field::Number => edit::number(typed, self.form.with_untracked(Form::own)),
            Field::Expiry => edit::expiry(typed),
            Field::Cvc => edit::cvc(typed, self.form.with_untracked(Form::brand)),
            Field::Name | Field::PostalCode | Field::Save => edit::as_is(typed),
        };
        self.digits[field as usize].set(shown.digits);
        if *shown.text != *text {
            input.set_value(&shown.text);
            // Autofill writes where the focus is not, and Safari moves the focus to a caret that is set.
            if is_focused(&input) {
                _ = input.set_selection_range(shown.caret as u32, shown.caret as u32);
            }
        }
        spawn_local(async {
            if self.vault.prepare().await {
                self.register();
                self.tell_change();
            }
        });
        self.say(String::new());
        self.change(inputs::read);
    }

    /// The page's words, as text and of a length that stays readable.
    fn say(&self, words: String) {
        if words.len() <= MAX_MESSAGE && self.message.with_untracked(|said| *said != words) {
            self.message.set(words);
        }
    }

    /// The buyer left a field.
    pub fn left(&self, field: Field) {
        self.change(|form| form.left(field));
    }

    async fn tokenise(&'static self, name: Option<&str>) -> Result<JsValue, Refusal> {
        self.say(String::new());
        let mut fault = self.submit();
        let is_typed = !self
            .form
            .with_untracked(|form| form.is_empty_at(Field::Number));
        if is_typed && fault.map(Fault::field) == Some(Field::Number) {
            // It may be a brand of the merchant's own, which only the session names.
            self.vault.meet().await;
            self.register();
            fault = self.submit();
        }
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
        let plain = match self.layout {
            Layout::Cvc => inputs::cvc().map(|cvc| plaintext::of_cvc(&cvc)),
            _ => inputs::card(&form, name).map(|card| plaintext::plaintext(&card)),
        };
        let token = self
            .vault
            .tokenise(plain.ok_or_else(Refusal::failed)?)
            .await?;
        if let Some(save) = inputs::is_save_ticked() {
            object::set(&token, "save_card", &save.into());
        }
        Ok(token)
    }

    /// The buyer wants to pay: the first fault, which is said.
    fn submit(&self) -> Option<Fault> {
        let mut fault = None;
        self.change(|form| {
            inputs::read(form);
            fault = form.submitted();
        });
        fault
    }

    /// Takes in the merchant's own brands, once. A number that was there before them is grouped as theirs.
    fn register(&'static self) {
        if self.form.with_untracked(|form| form.own().is_empty()) {
            let own = options::own_brands(&self.vault.brands());
            if !own.is_empty() {
                self.form.update(|form| form.register(own));
                self.typed(Field::Number, "");
            }
        }
    }

    fn answer(&self, id: f64, result: Result<JsValue, Refusal>) {
        match result {
            Ok(token) => {
                // PCI DSS 3.3.1 in spirit: number and code have done their work, and nobody else shall read them here.
                self.clear(&[Field::Number, Field::Cvc]);
                ToPage::Token { id, token: &token }.send();
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
                let (kind, code) = (refused.kind, &refused.code);
                ToPage::Error {
                    id,
                    kind,
                    code,
                    message: &message,
                }
                .send();
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
        self.show_extras();
        self.tell_change();
    }

    fn tell_change(&self) {
        let is_there = |fields: &&&[Field]| inputs::document(fields[0]).is_some();
        for fields in self.documents().iter().filter(is_there) {
            let of = self.of(fields);
            let mut now = self.form.with_untracked(|form| Change::of(form, of));
            if fields.contains(&Field::Number) {
                now.bin = inputs::bin(self.vault.bin_digits());
            }
            let told = &self.told[of.map_or(0, |field| field as usize)];
            if told.replace(Some(now)) != Some(now) {
                let message = now.fault().map(|fault| self.in_words(fault));
                ToPage::Change {
                    of,
                    change: &now,
                    message: &message.unwrap_or_default(),
                }
                .send();
            }
        }
    }
}

fn focus(field: Field) {
    if let Some(input) = inputs::input(field) {
        _ = input.focus();
    }
}

fn is_focused(input: &Element) -> bool {
    let document = input.owner_document();
    document
        .and_then(|document| document.active_element())
        .as_ref()
        == Some(input)
}
