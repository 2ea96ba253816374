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
        let change = Change::take(params)?;
        Ok(change.map(|change| Box::new(change.of(Self::default()))))
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

/// What `billing_details` says: what it does not name stays, an empty text unsets.
#[derive(Debug, Clone, Default)]
pub struct Change {
    name: Said,
    email: Said,
    phone: Said,
    line1: Said,
    line2: Said,
    city: Said,
    state: Said,
    postal_code: Said,
    country: Said,
}

/// Nothing, or a text, or that there is none.
type Said = Option<Option<String>>;

impl Change {
    /// Takes `billing_details`.
    pub fn take(params: &mut Params) -> Result<Option<Self>, Error> {
        let Some(mut said) = params.hash("billing_details")? else {
            return Ok(None);
        };
        let mut change = Self {
            name: text(&mut said, "name")?,
            email: text(&mut said, "email")?,
            phone: text(&mut said, "phone")?,
            ..Self::default()
        };
        if let Some(mut address) = said.hash("address")? {
            change.line1 = text(&mut address, "line1")?;
            change.line2 = text(&mut address, "line2")?;
            change.city = text(&mut address, "city")?;
            change.state = text(&mut address, "state")?;
            change.postal_code = text(&mut address, "postal_code")?;
            change.country = country(&mut address)?;
            address.finish()?;
        }
        said.finish()?;
        Ok(Some(change))
    }

    /// What becomes of these.
    pub fn of(self, before: Billing) -> Billing {
        let address = before.address;
        Billing {
            name: self.name.unwrap_or(before.name),
            email: self.email.unwrap_or(before.email),
            phone: self.phone.unwrap_or(before.phone),
            address: Address {
                line1: self.line1.unwrap_or(address.line1),
                line2: self.line2.unwrap_or(address.line2),
                city: self.city.unwrap_or(address.city),
                state: self.state.unwrap_or(address.state),
                postal_code: self.postal_code.unwrap_or(address.postal_code),
                country: self.country.unwrap_or(address.country),
            },
        }
    }
}

fn country(said: &mut Params) -> Result<Said, Error> {
    let country = text(said, "country")?;
    let is_code = |code: &String| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase());
    if country.iter().flatten().any(|code| !is_code(code)) {
        let message = "Country must be a two-letter ISO 3166 code in capitals.";
        let refusal = Refusal::new("country_code_invalid", message);
        return Err(refusal.param(said.name_of("country")).into());
    }
    Ok(country)
}

// Braces are what the vault finds its places by.
fn text(said: &mut Params, name: &str) -> Result<Said, Error> {
    let text = said.clearable(name, 200)?;
    if text.iter().flatten().any(|text| text.contains(['{', '}'])) {
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
