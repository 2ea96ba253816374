//! Billing details: who pays, and where they live. The address goes to the acquirer, where the issuer compares it (AVS).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Refusal};
use crate::http::params::Params;

/// Billing details of a payment method, as Stripe names them. No card data: the filter of all parameters refuses it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Billing {
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    address: Address,
}

/// A postal address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
    pub line1: Option<String>,
    pub line2: Option<String>,
    pub city: Option<String>,
    pub state: Option<String>,
    pub postal_code: Option<String>,
    /// ISO 3166, two capital letters.
    pub country: Option<String>,
}

impl Billing {
    /// Takes `billing_details`.
    pub fn take(params: &mut Params) -> Result<Option<Box<Self>>, Error> {
        let Some(mut said) = params.hash("billing_details")? else {
            return Ok(None);
        };
        let mut billing = Self {
            name: text(&mut said, "name")?,
            email: text(&mut said, "email")?,
            phone: text(&mut said, "phone")?,
            address: Address::default(),
        };
        if let Some(mut address) = said.hash("address")? {
            billing.address = Address::take(&mut address)?;
            address.finish()?;
        }
        said.finish()?;
        Ok(Some(Box::new(billing)))
    }

    /// What AVS compares, if there is any of it.
    pub fn compared(&self) -> Option<Compared> {
        let Address {
            line1, postal_code, ..
        } = &self.address;
        (line1.is_some() || postal_code.is_some()).then(|| Compared {
            line1: line1.clone(),
            postal_code: postal_code.clone(),
        })
    }

    /// The object, of details or of none.
    pub fn object(billing: Option<&Self>) -> Value {
        let none = Self::default();
        let Self {
            name,
            email,
            phone,
            address,
        } = billing.unwrap_or(&none);
        json!({ "address": address, "email": email, "name": name, "phone": phone, "tax_id": null })
    }
}

impl Address {
    fn take(said: &mut Params) -> Result<Self, Error> {
        let address = Self {
            line1: text(said, "line1")?,
            line2: text(said, "line2")?,
            city: text(said, "city")?,
            state: text(said, "state")?,
            postal_code: text(said, "postal_code")?,
            country: text(said, "country")?,
        };
        let is_code =
            |code: &String| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase());
        if address.country.as_ref().is_some_and(|code| !is_code(code)) {
            let message = "Country must be a two-letter ISO 3166 code in capitals.";
            let name = said.name_of("country");
            return Err(Refusal::new("country_code_invalid", message)
                .param(name)
                .into());
        }
        Ok(address)
    }
}

// An empty one is none. Braces are what the vault finds its places by.
fn text(said: &mut Params, name: &str) -> Result<Option<String>, Error> {
    let text = said.clearable(name, 200)?.flatten();
    if text.as_ref().is_some_and(|text| text.contains(['{', '}'])) {
        let name = said.name_of(name);
        let message = format!("'{name}' may hold no braces.");
        return Err(Refusal::plain(message).param(name).into());
    }
    Ok(text)
}

/// What an attempt carries of it: the issuer compares the first line and the postal code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
}

/// A token of a card, and whose card it is: what a payment method is made of.
#[derive(Debug, Clone)]
pub struct Fresh {
    pub token: String,
    pub billing: Option<Box<Billing>>,
}
