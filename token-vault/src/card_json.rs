//! A card as it arrives in JSON, sealed by the frame or from a server that may hold cards: parsed into secret types at
//! once. This is the one place that says which JSON that is:
//!
//! | field | is |
//! |---|---|
//! | `number` | 12-19 digits, as a string |
//! | `exp_month`, `exp_year` | 1-12 and four digits, as numbers |
//! | `cvc` | optional: 3 or 4 digits, as a string |
//! | `name` | optional: the holder's, 1-100 characters |
//! | `postal_code` | optional: 1-16 letters, digits, spaces, hyphens |
//! | `country` | optional: the holder's, ISO 3166-1 alpha-2, upper case |
//! | `network` | optional: the buyer's choice on a co-badged card, the wire name of one of its brands |
//!
//! The frame may also seal `{"cvc": ".."}` alone, for a card that is stored already.

use card::own::Kind;
use card::{Brand, Expiry, Month};
use pan::{CardData, Country, Cvv, HolderName, Pan, PostalCode};
use serde::Deserialize;
use vault_api::Code;
use vault_api::keys::Mode;
use vault_api::tokens::{CardSummary, Networks};
use zeroize::Zeroize;

use crate::card_rules::CardRules;
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
    #[serde(default)]
    postal_code: Option<String>,
    #[serde(default)]
    country: Option<String>,
    #[serde(default)]
    network: Option<String>,
}

/// A security code alone; wiped on drop.
#[derive(Deserialize, Zeroize)]
#[serde(deny_unknown_fields)]
#[zeroize(drop)]
pub struct CvcJson {
    cvc: String,
}

/// What the frame seals.
pub enum SealedJson {
    /// A card.
    Card(CardJson),
    /// The security code of a card that is stored already.
    Cvc(CvcJson),
}

impl SealedJson {
    /// Parses the JSON of a sealed message.
    ///
    /// # Errors
    /// `malformed_json` or `invalid_request`, never the text.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        match http::json::parse(bytes) {
            Ok(cvc) => Ok(Self::Cvc(cvc)),
            Err(_) => http::json::parse(bytes).map(Self::Card),
        }
    }
}

impl CvcJson {
    /// Checks it. Whose it is is not known here, so three digits are as good as four.
    ///
    /// # Errors
    /// `invalid_cvc`.
    pub fn check(&self) -> Result<Cvv, Error> {
        Cvv::parse(&self.cvc, Brand::Unknown).map_err(|_| Code::InvalidCvc.into())
    }
}

impl CardJson {
    /// Checks every field by the rules of its key, and that the card is of this mode. A number of a brand that was
    /// registered for the key is of either mode; no published test number is of live mode.
    ///
    /// # Errors
    /// The code of the first field that is wrong.
    pub fn check(&self, mode: Mode, today: Month, rules: &CardRules) -> Result<Checked, Error> {
        let own = rules.own();
        let kind = Kind::of(&self.number, &own);
        let is_own = matches!(kind, Kind::Own(_));
        let number = Pan::parse_as(&self.number, kind).map_err(|_| Code::InvalidNumber)?;
        match (mode, number.is_test_number()) {
            (Mode::Test, false) if !is_own => return Err(Code::LiveCardInTestMode.into()),
            (Mode::Live, true) => return Err(Code::TestCardInLiveMode.into()),
            _ => {}
        }
        let expiry = expiry(self.exp_year, self.exp_month, today)?;
        let cvc = self
            .cvc
            .as_deref()
            .map(|cvc| Cvv::parse_as(cvc, kind))
            .transpose();
        let name = self.name.as_deref().map(HolderName::parse).transpose();
        let postal_code = self.postal_code.as_deref().map(PostalCode::parse);
        let country = self.country.as_deref().map(Country::parse);
        let network = self.network.as_deref().map(|id| match kind {
            Kind::Listed(_) => network(&number, id),
            Kind::Own(_) => Err(Code::InvalidNetwork),
        });
        let card = CardData {
            expiry,
            cvc: cvc.map_err(|_| Code::InvalidCvc)?,
            name: name.map_err(|_| Code::InvalidName)?,
            postal_code: postal_code
                .transpose()
                .map_err(|_| Code::InvalidPostalCode)?,
            country: country.transpose().map_err(|_| Code::InvalidCountry)?,
            network: network.transpose()?,
            number,
        };
        let mut summary = summary(&card);
        if is_own {
            let id = kind.facts().id.to_owned();
            summary.networks = Some(Networks {
                available: vec![id.clone()],
                preferred: None,
            });
            summary.brand = id;
        }
        Ok(Checked { card, summary })
    }
}

/// A card whose every field is right.
pub struct Checked {
    /// The card.
    pub card: CardData,
    /// What may be shown of it.
    pub summary: CardSummary,
}

/// An expiry that is not over.
///
/// # Errors
/// `invalid_expiry`, `expired_card`.
pub fn expiry(year: u16, month: u8, today: Month) -> Result<Expiry, Code> {
    // Two digits are a mistake, not a card from the year 40.
    let four = Some(year).filter(|year| *year >= 1000);
    let expiry = four.and_then(|year| Expiry::new(year, month));
    let expiry = expiry.ok_or(Code::InvalidExpiry)?;
    card::expiry::within(expiry, today).map_err(|error| match error {
        card::expiry::Error::Past => Code::ExpiredCard,
        _ => Code::InvalidExpiry,
    })
}

// The buyer's choice: one of what the card has, not any brand there is.
fn network(number: &Pan, id: &str) -> Result<Brand, Code> {
    let brand = Brand::from_id(id).ok_or(Code::InvalidNetwork)?;
    let has = number.networks().contains(&brand);
    has.then_some(brand).ok_or(Code::InvalidNetwork)
}

/// What may be shown of a card.
#[must_use]
pub fn summary(card: &CardData) -> CardSummary {
    let id = |brand: Brand| brand.facts().id.to_owned();
    CardSummary {
        brand: card.number.brand().facts().id.to_owned(),
        last4: card.number.last4().to_owned(),
        exp_month: card.expiry.month(),
        exp_year: card.expiry.year(),
        networks: Some(Networks {
            available: card.number.networks().into_iter().map(id).collect(),
            preferred: card.network.map(id),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(json: &str, mode: Mode) -> Result<(), Code> {
        let today = Month::new(2026, 11).expect("a month");
        let checked = SealedJson::parse(json.as_bytes()).and_then(|sealed| match sealed {
            SealedJson::Card(card) => card.check(mode, today, &CardRules::default()).map(drop),
            SealedJson::Cvc(cvc) => cvc.check().map(drop),
        });
        match checked {
            Ok(()) => Ok(()),
            Err(Error::Refused(code)) => Err(code),
            Err(_) => Err(Code::Internal),
        }
    }

    #[test]
    fn every_field_has_its_code() {
        let good = r#"{"number":"4242424242424242","exp_month":12,"exp_year":2030,"cvc":"123",
            "name":"Ada","postal_code":"SW1A 1AA","country":"GB","network":"visa"}"#;
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
            ("Ada", "4242 4242 4242 4242", Code::InvalidName),
            ("SW1A 1AA", "SW1A;1AA", Code::InvalidPostalCode),
            ("\"GB\"", "\"gb\"", Code::InvalidCountry),
            ("\"visa\"", "\"mastercard\"", Code::InvalidNetwork),
            ("\"visa\"", "\"nonsense\"", Code::InvalidNetwork),
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
    #[test]
    fn a_security_code_may_come_alone() {
        for (json, expected) in [
            (r#"{"cvc":"123"}"#, Ok(())),
            (r#"{"cvc":"1234"}"#, Ok(())),
            (r#"{"cvc":"12"}"#, Err(Code::InvalidCvc)),
            (r#"{"cvc":"12345"}"#, Err(Code::InvalidCvc)),
            (r#"{"cvc":123}"#, Err(Code::InvalidRequest)),
            (r#"{"cvc":"123","exp_month":12}"#, Err(Code::InvalidRequest)),
            (r#"{"cvc":"123""#, Err(Code::MalformedJson)),
        ] {
            assert_eq!(code(json, Mode::Test), expected, "{json}");
        }
    }
}
