//! Card text of a message on its way into its types, whatever dialect it came in.

use card::Month;
use pan::{CardData, Cvv, HolderName, Pan};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::dialects::Problem;

/// Card text before it is checked: wiped on drop, and without Debug or Serialize.
pub(crate) struct SecretText(pub(crate) Zeroizing<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// What a message says of a card.
pub(crate) struct CardText {
    pub(crate) number: SecretText,
    pub(crate) exp_month: Option<u16>,
    /// Two or four digits.
    pub(crate) exp_year: Option<u16>,
    pub(crate) cvc: Option<SecretText>,
    pub(crate) name: Option<SecretText>,
}

impl CardText {
    /// The card; None for a number that no card has: the issuer declines it, as a bank does.
    pub(crate) fn card(self) -> Result<Option<CardData>, Problem> {
        let month = self.exp_month.and_then(|n| u8::try_from(n).ok());
        let month = month.ok_or(Problem::field("card.exp_month"))?;
        let year = match self.exp_year {
            Some(year @ 0..=99) => 2000 + year,
            Some(year @ 2000..=2099) => year,
            _ => return Err(Problem::field("card.exp_year")),
        };
        let expiry = Month::new(year, month).ok_or(Problem::field("card.exp_month"))?;
        let name = self.name.filter(|name| !name.0.trim().is_empty());
        let name = name.map(|name| HolderName::parse(&name.0)).transpose();
        let name = name.map_err(|_| Problem::field("card.name"))?;
        let Ok(number) = Pan::parse(&self.number.0) else {
            return Ok(None);
        };
        let cvc = self.cvc.filter(|cvc| !cvc.0.is_empty());
        let cvc = cvc
            .map(|cvc| Cvv::parse(&cvc.0, number.brand()))
            .transpose();
        Ok(Some(CardData {
            number,
            expiry,
            cvc: cvc.map_err(|_| Problem::field("card.cvc"))?,
            name,
            postal_code: None,
            country: None,
            network: None,
        }))
    }
}

/// The billing address of a message, as far as AVS compares it: what is not there is not compared.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Address {
    pub(crate) line1: Option<String>,
    pub(crate) postal_code: Option<String>,
}

impl Address {
    /// Whether there is anything to compare.
    pub(crate) fn is_there(&self) -> bool {
        self.has_line1() || self.has_postal_code()
    }

    /// Whether the first line came.
    pub(crate) fn has_line1(&self) -> bool {
        self.line1.as_ref().is_some_and(|text| !text.is_empty())
    }

    /// Whether the postal code came.
    pub(crate) fn has_postal_code(&self) -> bool {
        self.postal_code
            .as_ref()
            .is_some_and(|text| !text.is_empty())
    }
}
