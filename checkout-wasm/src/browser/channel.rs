//! The channel to the page: one handshake, then a `MessageChannel` with two closed sets of messages.
//!
//! The page is not trusted. It may ask what [`FromPage`] lists and hears what [`ToPage`] lists; a card value is in
//! neither, but for the first digits of the number where the operator's rule for the key lets the page see them. The frame answers to its parent alone, under the origin that the vault checked and named in
//! `frame-ancestors`, and takes one handshake per document.

use std::cell::OnceCell;

use card::Brand;
use card::brand::Brands;
use card::own::Kind;
use js_sys::{Array, Object};
use wasm_bindgen::prelude::*;
use web_sys::{MessageEvent, MessagePort, Window};

use super::object::{get, number, object, set, text};
use crate::form::{Fault, Field, Form};

/// The protocol this frame speaks.
pub const PROTOCOL: f64 = 1.0;

/// What the page may ask.
pub enum FromPage {
    /// Focus a field; else the first at fault, or the first.
    Focus(Option<Field>),
    /// Give up the focus.
    Blur,
    /// Empty a field, or all.
    Clear(Option<Field>),
    /// The page takes a field, or the form, away.
    Leave(Option<Field>),
    /// Options have changed, of a field or of all.
    Update {
        /// Which field's.
        field: Option<Field>,
        /// All options.
        options: JsValue,
    },
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
    /// Say that you live.
    Ping,
}

/// What the page hears; `of` is the field of a split form that it is about.
pub enum ToPage<'a> {
    /// The fields take keys.
    Ready {
        /// Which.
        of: Option<Field>,
    },
    /// The fields cannot work here.
    LoadError(&'static str),
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
    /// The focus came in.
    Focus {
        /// Where.
        of: Option<Field>,
    },
    /// The focus left.
    Blur {
        /// Where.
        of: Option<Field>,
    },
    /// Escape was pressed.
    Escape {
        /// Where.
        of: Option<Field>,
    },
    /// Enter was pressed: the page's form may submit.
    Enter {
        /// Where.
        of: Option<Field>,
    },
    /// How high the form is.
    Height {
        /// Which.
        of: Option<Field>,
        /// CSS pixels.
        height: f64,
    },
    /// Whether the buyer can see it: `visible`, `covered` or `offscreen`.
    Visibility {
        /// Which.
        of: Option<Field>,
        /// The word.
        state: &'a str,
    },
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
    /// The frame lives.
    Pong,
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

/// The port, once the page has shaken hands.
#[derive(Default)]
pub struct Channel(OnceCell<MessagePort>);

impl Channel {
    /// Says hello to `origin` and calls `on_connect` with the page's options at its first right answer, then
    /// `on_message` for each message. Returns false when there is no parent to talk to.
    pub fn open(
        &'static self,
        window: &Window,
        origin: &str,
        on_connect: impl Fn(JsValue) + 'static,
        on_message: impl Fn(FromPage) + Clone + 'static,
    ) -> bool {
        let Ok(Some(parent)) = window.parent() else {
            return false;
        };
        if Object::is(&parent, window) {
            return false;
        }
        let from = parent.clone();
        let page = origin.to_owned();
        let listener = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            let is_parent = event
                .source()
                .is_some_and(|source| Object::is(&source, &from));
            if is_parent && event.origin() == page && self.accept(&event, on_message.clone()) {
                on_connect(get(&event.data(), "options").unwrap_or_default());
            }
        });
        let listens = window
            .add_event_listener_with_callback("message", listener.as_ref().unchecked_ref())
            .is_ok();
        listener.forget();
        // A malformed origin throws here and nobody hears the hello.
        listens
            && parent
                .post_message(
                    &object(&[("cardseal", PROTOCOL.into()), ("type", "hello".into())]),
                    origin,
                )
                .is_ok()
    }

    fn accept(&self, event: &MessageEvent, on_message: impl Fn(FromPage) + 'static) -> bool {
        let data = event.data();
        let is_connect = number(&data, "cardseal") == Some(PROTOCOL)
            && number(&data, "protocol") == Some(PROTOCOL)
            && text(&data, "type").as_deref() == Some("connect");
        let port: MessagePort = event.ports().get(0).unchecked_into();
        if !is_connect || port.is_undefined() || self.0.get().is_some() {
            return false;
        }
        let listener = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            if let Some(message) = FromPage::read(&event.data()) {
                on_message(message);
            }
        });
        port.set_onmessage(Some(listener.as_ref().unchecked_ref()));
        listener.forget();
        // The nonce goes back over the port: it pairs this frame with the mount that asked, no more.
        let nonce = get(&data, "nonce").unwrap_or_default();
        let connected = tagged("connected", &[("nonce", nonce)]);
        port.post_message(&connected).is_ok() && self.0.set(port).is_ok()
    }

    /// Whether the page has shaken hands.
    pub fn is_open(&self) -> bool {
        self.0.get().is_some()
    }

    /// Tells the page; before the handshake nobody listens and nothing is sent.
    pub fn tell(&self, message: &ToPage<'_>) {
        if let Some(port) = self.0.get() {
            _ = port.post_message(&message.write());
        }
    }
}

impl FromPage {
    fn read(data: &JsValue) -> Option<Self> {
        if text(data, "to")? != "frame" {
            return None;
        }
        let field = text(data, "field").and_then(|id| Field::of_id(&id));
        match text(data, "type")?.as_str() {
            "focus" => Some(Self::Focus(field)),
            "blur" => Some(Self::Blur),
            "clear" => Some(Self::Clear(field)),
            "leave" => Some(Self::Leave(field)),
            "update" => Some(Self::Update {
                field,
                options: get(data, "options")?,
            }),
            "validate" => Some(Self::Validate),
            "error" => Some(Self::Error(text(data, "message")?)),
            "fill" => Some(Self::Fill(get(data, "fields")?)),
            "tokenise" => Some(Self::Tokenise {
                id: number(data, "id")?,
                name: text(data, "name"),
            }),
            "ping" => Some(Self::Ping),
            _ => None,
        }
    }
}

impl ToPage<'_> {
    fn write(&self) -> JsValue {
        match self {
            Self::Ready { of } => about(*of, "ready", &[]),
            Self::LoadError(reason) => tagged("loaderror", &[("reason", (*reason).into())]),
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
                about(*of, "change", &[("facts", facts)])
            }
            Self::Refused(option) => tagged("refused", &[("option", (*option).into())]),
            Self::Focus { of } => about(*of, "focus", &[]),
            Self::Blur { of } => about(*of, "blur", &[]),
            Self::Escape { of } => about(*of, "escape", &[]),
            Self::Enter { of } => about(*of, "enter", &[]),
            Self::Height { of, height } => about(*of, "height", &[("height", (*height).into())]),
            Self::Visibility { of, state } => {
                about(*of, "visibility", &[("state", (*state).into())])
            }
            Self::Token { id, token } => tagged(
                "token",
                &[("id", (*id).into()), ("token", (*token).clone())],
            ),
            Self::Error {
                id,
                kind,
                code,
                message,
            } => tagged(
                "token",
                &[("id", (*id).into()), ("error", error(kind, code, message))],
            ),
            Self::Pong => tagged("pong", &[]),
        }
    }
}

fn about(field: Option<Field>, kind: &str, rest: &[(&str, JsValue)]) -> JsValue {
    let message = tagged(kind, rest);
    if let Some(field) = field {
        set(&message, "field", &field.id().into());
    }
    message
}

fn tagged(kind: &str, rest: &[(&str, JsValue)]) -> JsValue {
    let message = object(rest);
    set(&message, "to", &"page".into());
    set(&message, "type", &kind.into());
    message
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
