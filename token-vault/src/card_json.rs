//! A card as it arrives in JSON, sealed or from a server that may hold cards: parsed into secret types at once.

use card::{Expiry, Month};
use pan::{CardData, Cvv, HolderName, Pan};
use serde::Deserialize;
use vault_api::Code;
use vault_api::keys::Mode;
use vault_api::tokens::CardSummary;
use zeroize::Zeroize;

use crate::{Error, http};

/// The wire form; wiped on drop. It has no Debug, like what it becomes.
#[derive(Deserialize, Zeroize, schemars::JsonSchema)]
#[schemars(rename = "Card")]
#[serde(deny_unknown_fields)]
#[zeroize(drop)]
pub struct CardJson {
    number: String,
    exp_month: u8,
    exp_year: u16,
    #[serde(default)]
    cvc: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

impl CardJson {
    /// Parses the JSON of a sealed card.
    ///
    /// # Errors
    /// `malformed_json` or `invalid_request`, never the text.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        http::json::parse(bytes)
    }

    /// Checks every field, and that the card is of this mode.
    ///
    /// # Errors
    /// The code of the first field that is wrong.
    pub fn check(&self, mode: Mode, today: Month) -> Result<CardData, Error> {
        let number = Pan::parse(&self.number).map_err(|_| Code::InvalidNumber)?;
        match (mode, number.is_test_number()) {
            (Mode::Test, false) => return Err(Code::LiveCardInTestMode.into()),
            (Mode::Live, true) => return Err(Code::TestCardInLiveMode.into()),
            _ => {}
        }
        let expiry = Expiry::new(self.exp_year, self.exp_month).ok_or(Code::InvalidExpiry)?;
        let expiry = card::expiry::within(expiry, today).map_err(|error| match error {
            card::expiry::Error::Past => Code::ExpiredCard,
            _ => Code::InvalidExpiry,
        })?;
        let cvc = self
            .cvc
            .as_deref()
            .map(|cvc| Cvv::parse(cvc, number.brand()))
            .transpose();
        let name = self.name.as_deref().map(HolderName::parse).transpose();
        Ok(CardData {
            number,
            expiry,
            cvc: cvc.map_err(|_| Code::InvalidCvc)?,
            name: name.map_err(|_| Code::InvalidName)?,
        })
    }
}

/// What may be shown of a card.
#[must_use]
pub fn summary(card: &CardData) -> CardSummary {
    CardSummary {
        brand: card.number.brand().facts().id.to_owned(),
        last4: card.number.last4().to_owned(),
        exp_month: card.expiry.month(),
        exp_year: card.expiry.year(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(json: &str, mode: Mode) -> Result<(), Code> {
        let today = Month::new(2026, 11).expect("a month");
        let checked = CardJson::parse(json.as_bytes()).and_then(|card| card.check(mode, today));
        match checked {
            Ok(_) => Ok(()),
            Err(Error::Refused(code)) => Err(code),
            Err(_) => Err(Code::Internal),
        }
    }

    #[test]
    fn every_field_has_its_code() {
        let good = r#"{"number":"4242424242424242","exp_month":12,"exp_year":2030,"cvc":"123"}"#;
        assert_eq!(code(good, Mode::Test), Ok(()));
        for (from, to, expected) in [
            ("4242424242424242", "4242424242424241", Code::InvalidNumber),
            (
                "4242424242424242",
                "4111111111111111",
                Code::LiveCardInTestMode,
            ),
            (":12", ":13", Code::InvalidExpiry),
            ("2030", "2025", Code::ExpiredCard),
            ("2030", "2090", Code::InvalidExpiry),
            ("123\"", "12\"", Code::InvalidCvc),
            ("\"cvc\"", "\"cvv\"", Code::InvalidRequest),
            (
                "\"4242424242424242\"",
                "4242424242424242",
                Code::InvalidRequest,
            ),
            ("}", "", Code::MalformedJson),
        ] {
            assert_eq!(
                code(&good.replace(from, to), Mode::Test),
                Err(expected),
                "{from} -> {to}"
            );
        }
        assert_eq!(code(good, Mode::Live), Err(Code::TestCardInLiveMode));
    }
}
