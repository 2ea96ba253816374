//! What the engine hears from the front of the frame (`front.js`) and what it tells the page through it: two closed sets
//! of messages.
//!
//! The page is not trusted. It may ask what [`Heard`] lists, as far as `front.js` lets it through, and hears what [`ToPage`]
//! lists beside what `front.js` says itself; a card value is in neither, but for the first digits of the number where the
//! operator's rule for the key lets the page see them.

use card::Brand;
use card::brand::Brands;
use card::own::Kind;
use js_sys::Array;
use wasm_bindgen::prelude::*;
use web_sys::Document;

use super::object::{get, number, object, text};
use crate::form::{Fault, Field, Form};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = front)]
    fn serve(act: &JsValue);
    #[wasm_bindgen(js_namespace = front)]
    fn tell(kind: &str, field: Option<&str>, rest: &JsValue);
}

/// What there is to do: a document has come, or the page asks.
pub enum Heard {
    /// Take over this document, which has this field of a split form; else the form.
    Page {
        /// The field.
        field: Option<Field>,
        /// The document.
        page: Document,
    },
    /// Focus a field; else the first at fault, or the first.
    Focus(Option<Field>),
    /// Forget a field, or all: the inputs are empty already.
    Clear(Option<Field>),
    /// The page takes a field, or the form, away: the inputs are empty already.
    Leave(Option<Field>),
    /// Take these options, in which the documents are dressed already.
    Update(JsValue),
    /// Say what is wrong, as at submit.
    Validate,
    /// Say these words below the fields.
    Error(String),
    /// Type this into fields, by their ids: the driver of a merchant's own browser tests. Test mode only.
    Fill(JsValue),
    /// Seal the card and get a token; the answer carries the same id.
    Tokenise {
        /// Pairs question and answer.
        id: f64,
        /// The holder's name, when the page asked for it.
        name: Option<String>,
    },
}

/// What the page hears; `of` is the field of a split form that it is about.
pub enum ToPage<'a> {
    /// The form's facts, or a field's, and the first fault in words.
    Change {
        /// Which.
        of: Option<Field>,
        /// The facts.
        change: &'a Change,
        /// The fault.
        message: &'a str,
    },
    /// An option that is not one: the page's developer must know.
    Refused(&'a str),
    /// A token, as the vault gave it.
    Token {
        /// The question's.
        id: f64,
        /// The vault's answer.
        token: &'a JsValue,
    },
    /// No token.
    Error {
        /// The question's.
        id: f64,
        /// The error's type, as Stripe.js names them.
        kind: &'static str,
        /// What programs compare.
        code: &'a str,
        /// What people read.
        message: &'a str,
    },
}

/// The facts of a form that the page may know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Change {
    empty: bool,
    complete: bool,
    brand: Kind<'static>,
    possible: Brands,
    choices: Brands,
    network: Option<Brand>,
    fault: Option<Fault>,
    /// The first digits of the number where the key's rule lets the page see them; else zeros.
    pub bin: [u8; 8],
}

impl Change {
    /// The facts of `form`, or of one field of it.
    #[must_use]
    pub fn of(form: &Form, field: Option<Field>) -> Self {
        let fault = match field {
            Some(field) => form.shown(field),
            None => form.first_shown(),
        };
        Self {
            empty: field.map_or_else(|| form.is_empty(), |field| form.is_empty_at(field)),
            complete: field.map_or_else(|| form.is_complete(), |field| form.is_complete_at(field)),
            brand: form.brand(),
            possible: form.possible(),
            choices: form.choices(),
            network: form.network(),
            fault,
            bin: [0; 8],
        }
    }

    fn brands(&self) -> JsValue {
        match self.brand {
            Kind::Listed(_) => ids(self.possible),
            Kind::Own(own) => Array::of1(&own.facts.id.into()).into(),
        }
    }

    /// The first fault that is shown.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }
}

/// From now on `act` gets whatever there is to do, first what waited.
pub fn listen(act: impl Fn(Heard) + 'static) {
    let listener = Closure::<dyn Fn(JsValue)>::new(move |message: JsValue| {
        if let Some(heard) = Heard::read(&message) {
            act(heard);
        }
    });
    serve(listener.as_ref());
    listener.forget();
}

impl Heard {
    fn read(data: &JsValue) -> Option<Self> {
        let field = text(data, "field").and_then(|id| Field::of_id(&id));
        match text(data, "type")?.as_str() {
            "page" => Some(Self::Page {
                field,
                page: get(data, "page")?.unchecked_into(),
            }),
            "focus" => Some(Self::Focus(field)),
            "clear" => Some(Self::Clear(field)),
            "leave" => Some(Self::Leave(field)),
            "update" => Some(Self::Update(get(data, "options")?)),
            "validate" => Some(Self::Validate),
            "error" => Some(Self::Error(text(data, "message")?)),
            "fill" => Some(Self::Fill(get(data, "fields")?)),
            "tokenise" => Some(Self::Tokenise {
                id: number(data, "id")?,
                name: text(data, "name"),
            }),
            _ => None,
        }
    }
}

impl ToPage<'_> {
    /// Tells the page; where there is none, nobody.
    pub fn send(&self) {
        match self {
            Self::Change {
                of,
                change,
                message,
            } => {
                let facts = object(&[
                    ("empty", change.empty.into()),
                    ("complete", change.complete.into()),
                    ("brand", change.brand.facts().id.into()),
                    ("brands", change.brands()),
                    ("networks", ids(change.choices)),
                    (
                        "network",
                        change
                            .network
                            .map_or(JsValue::NULL, |network| network.facts().id.into()),
                    ),
                    ("bin", bin(change.bin)),
                    (
                        "error",
                        change.fault.map_or(JsValue::UNDEFINED, |fault| {
                            error("validation_error", fault.code(), message)
                        }),
                    ),
                ]);
                tell("change", of.map(Field::id), &object(&[("facts", facts)]));
            }
            Self::Refused(option) => {
                tell("refused", None, &object(&[("option", (*option).into())]));
            }
            Self::Token { id, token } => {
                let answer = [("id", (*id).into()), ("token", (*token).clone())];
                tell("token", None, &object(&answer));
            }
            Self::Error {
                id,
                kind,
                code,
                message,
            } => {
                let answer = [("id", (*id).into()), ("error", error(kind, code, message))];
                tell("token", None, &object(&answer));
            }
        }
    }
}

fn ids(brands: Brands) -> JsValue {
    let ids = brands
        .into_iter()
        .map(|brand| JsValue::from(brand.facts().id));
    ids.collect::<Array>().into()
}

fn bin(digits: [u8; 8]) -> JsValue {
    let many = digits.into_iter().take_while(|digit| *digit > 0).count();
    let text = digits
        .get(..many)
        .and_then(|digits| std::str::from_utf8(digits).ok());
    text.filter(|text| !text.is_empty())
        .map_or(JsValue::UNDEFINED, JsValue::from)
}

/// Networks as id and name, for the buyer to choose from.
#[must_use]
pub fn networks(networks: Brands) -> JsValue {
    let pair = |brand: Brand| {
        let facts = brand.facts();
        Array::of2(&facts.id.into(), &facts.name.into())
    };
    networks.into_iter().map(pair).collect::<Array>().into()
}

fn error(kind: &str, code: &str, message: &str) -> JsValue {
    object(&[
        ("type", kind.into()),
        ("code", code.into()),
        ("message", message.into()),
    ])
}
