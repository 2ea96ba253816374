//! The way to the vault: a field session that renews itself, sealing, and the token.

use std::cell::{Cell, RefCell};

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use zeroize::Zeroizing;

use super::object::{get, number, object, set, text};
use crate::refusal;

/// A session that ends within this many seconds is renewed first: sealing and sending take time on a slow line.
const RENEW_BEFORE_S: f64 = 60.0;

#[wasm_bindgen(module = "/src/browser/post.js")]
extern "C" {
    fn post(path: &str, bearer: Option<String>, body: &JsValue) -> Promise;
}

#[wasm_bindgen(module = "/src/browser/seal.js")]
extern "C" {
    #[wasm_bindgen(js_name = sealCard)]
    fn seal_card(session: &JsValue, publishable_key: &str, plaintext: &[u8]) -> Promise;
}

/// Why there is no token.
pub struct Refusal {
    /// The error's type, as Stripe.js names them.
    pub kind: &'static str,
    /// What programs compare.
    pub code: String,
    /// What people read; empty where the form has words for the code.
    pub message: String,
}

/// The vault as one frame sees it.
pub struct Vault {
    key: String,
    /// The session that the merchant's server bound to a payment.
    bound: RefCell<Option<String>>,
    session: RefCell<Option<Promise>>,
    /// How many digits of the number the page may be told, by the key's rule; none before there was a session.
    bin_digits: Cell<f64>,
    /// The merchant's own brands, as the session lists them; undefined before there was one.
    brands: RefCell<JsValue>,
}

struct Answer {
    status: u16,
    body: JsValue,
}

impl Vault {
    /// The vault for a publishable key.
    #[must_use]
    pub fn new(key: String) -> Self {
        Self {
            key,
            bound: RefCell::new(None),
            session: RefCell::new(None),
            bin_digits: Cell::new(0.0),
            brands: RefCell::new(JsValue::UNDEFINED),
        }
    }

    /// Takes the session that the merchant's server made; it is sealed for, and not replaced by one of this frame's.
    pub fn bind(&self, session: Option<String>) {
        if *self.bound.borrow() != session {
            self.bound.replace(session);
            self.session.replace(None);
        }
    }

    /// Fetches a session ahead of need, once; true when there is a new one.
    pub async fn prepare(&self) -> bool {
        let is_new = self.session.borrow().is_none();
        is_new && self.learn(self.pending_session()).await.is_ok()
    }

    /// How many digits of the number the page may be told.
    #[must_use]
    pub fn bin_digits(&self) -> usize {
        self.bin_digits.get() as usize
    }

    /// The merchant's own brands, as the session lists them; undefined before there was one.
    #[must_use]
    pub fn brands(&self) -> JsValue {
        self.brands.borrow().clone()
    }

    /// Waits for the first session, if it is not there yet.
    pub async fn meet(&self) {
        if self.brands.borrow().is_undefined() {
            _ = self.fetch_session().await;
        }
    }

    /// Seals the card's JSON and gets a token; a stale session or key is renewed once, unseen.
    ///
    /// # Errors
    /// What the page is told.
    pub async fn tokenise(&self, plaintext: Zeroizing<Vec<u8>>) -> Result<JsValue, Refusal> {
        match self.attempt(&plaintext).await {
            Err(refused) if refusal::is_cured_by_new_session(&refused.code) => {
                self.session.replace(None);
                self.attempt(&plaintext).await
            }
            answered => answered,
        }
    }

    async fn attempt(&self, plaintext: &[u8]) -> Result<JsValue, Refusal> {
        let session = self.session().await?;
        let sealing = seal_card(&session, &self.key, plaintext);
        let sealed = JsFuture::from(sealing)
            .await
            .map_err(|_| Refusal::failed())?;
        let body = object(&[("sealed", sealed)]);
        let bearer = text(&session, "session");
        answer(post("/v1/tokens", bearer, &body)).await?.success()
    }

    async fn session(&self) -> Result<JsValue, Refusal> {
        let session = self.fetch_session().await?;
        let ends = number(&session, "expires_at").unwrap_or_default();
        if ends - js_sys::Date::now() / 1000.0 > RENEW_BEFORE_S {
            return Ok(session);
        }
        self.session.replace(None);
        self.fetch_session().await
    }

    async fn fetch_session(&self) -> Result<JsValue, Refusal> {
        let session = self.learn(self.pending_session()).await;
        if session.is_err() {
            self.session.replace(None);
        }
        session
    }

    async fn learn(&self, session: Promise) -> Result<JsValue, Refusal> {
        let session = answer(session).await?.success()?;
        let digits = number(&session, "bin_digits");
        self.bin_digits.set(digits.unwrap_or_default());
        let brands = get(&session, "brands").filter(|brands| !brands.is_undefined());
        self.brands.replace(brands.unwrap_or(JsValue::NULL));
        Ok(session)
    }

    // A promise is kept, not its value, so that typing and submitting share one request.
    fn pending_session(&self) -> Promise {
        self.session
            .borrow_mut()
            .get_or_insert_with(|| {
                let body = object(&[("key", self.key.as_str().into())]);
                if let Some(bound) = &*self.bound.borrow() {
                    set(&body, "session", &bound.as_str().into());
                }
                post("/v1/field-sessions", None, &body)
            })
            .clone()
    }
}

impl Answer {
    fn success(self) -> Result<JsValue, Refusal> {
        match self.status {
            200..=299 => Ok(self.body),
            0 => Err(Refusal {
                kind: refusal::kind(0),
                code: "network".to_owned(),
                message: String::new(),
            }),
            status => Err(Refusal {
                kind: refusal::kind(status),
                code: text(&self.body, "code").unwrap_or_default(),
                message: text(&self.body, "title").unwrap_or_default(),
            }),
        }
    }
}

impl Refusal {
    /// Sealing failed, or the form changed between check and seal.
    #[must_use]
    pub fn failed() -> Self {
        Self {
            kind: refusal::kind(500),
            code: "sealing_failed".to_owned(),
            message: String::new(),
        }
    }
}

async fn answer(posted: Promise) -> Result<Answer, Refusal> {
    let answer = JsFuture::from(posted)
        .await
        .map_err(|_| Refusal::failed())?;
    Ok(Answer {
        status: number(&answer, "status").unwrap_or_default() as u16,
        body: get(&answer, "body").unwrap_or_default(),
    })
}
