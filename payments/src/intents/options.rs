//! What a confirmation may say besides the card.

use vault_api::Token;

use super::Details;
use crate::cvc_tokens;
use crate::error::{Error, Refusal};
use crate::http::params::Params;
use crate::risk::address::Told;
use crate::three_ds;

/// What a confirmation may say besides.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub off_session: Option<bool>,
    pub return_url: Option<String>,
    pub setup_future_usage: Option<&'static str>,
    pub request_three_d_secure: Option<&'static str>,
    /// The security code of a saved card, given again. Of this confirmation alone: the intent does not have it.
    pub cvc_token: Option<Token>,
    pub error_on_requires_action: Option<bool>,
    pub use_stripe_sdk: Option<bool>,
    pub told: Told,
}

/// When the card may be used again.
pub const USAGES: &[&str] = &["off_session", "on_session"];

impl Options {
    /// Takes them.
    pub fn take(params: &mut Params) -> Result<Self, Error> {
        let (request_three_d_secure, cvc_token) = three_ds::request_and(params, cvc_tokens::take)?;
        Ok(Self {
            off_session: params.boolean("off_session")?,
            return_url: params.text("return_url", 2_048)?,
            setup_future_usage: params.one_of("setup_future_usage", USAGES)?,
            request_three_d_secure,
            cvc_token,
            error_on_requires_action: params.boolean("error_on_requires_action")?,
            use_stripe_sdk: params.boolean("use_stripe_sdk")?,
            told: Told::take(params)?,
        })
    }

    /// Refuses what an intent cannot keep for a later confirmation: a security code.
    pub fn without_confirm(self) -> Result<Self, Error> {
        if self.cvc_token.is_none() {
            return Ok(self);
        }
        let message =
            "A cvc_token is of one confirmation. Pass it with confirm=true, or when you confirm.";
        Err(Refusal::plain(message).param(cvc_tokens::PARAM).into())
    }

    /// Writes them into the intent's details; false when they change nothing.
    pub fn apply(&self, details: &mut Details) -> bool {
        let before = details.clone();
        if let Some(off_session) = self.off_session {
            details.off_session = Some(off_session);
        }
        if let Some(url) = &self.return_url {
            details.return_url = Some(url.clone());
        }
        if let Some(usage) = self.setup_future_usage {
            details.setup_future_usage = Some(usage.to_owned());
        }
        if let Some(request) = self.request_three_d_secure {
            details.request_three_d_secure = Some(request.to_owned());
        }
        if let Some(fail) = self.error_on_requires_action {
            details.error_on_requires_action = Some(fail);
        }
        if let Some(in_page) = self.use_stripe_sdk {
            details.use_stripe_sdk = Some(in_page);
        }
        if let Some(address) = &self.told.address {
            details.buyer_address = Some(address.clone());
        }
        if let Some(session) = &self.told.session {
            details.buyer_session = Some(session.clone());
        }
        before != *details
    }
}
