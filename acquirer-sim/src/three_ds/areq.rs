//! The AReq of a browser (EMV 3-D Secure 2.1/2.2, device channel 02): every element that the protocol requires, each
//! checked for its format. A message that does not fit is answered with an Erro that names the elements.

use card::{Brand, Month};
use pan::Pan;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::{Zeroize as _, Zeroizing};

/// The versions that this directory server speaks.
pub(crate) const VERSIONS: [&str; 2] = ["2.1.0", "2.2.0"];

/// What an element may hold.
enum Rule {
    OneOf(&'static [&'static str]),
    /// Digits: from, to.
    Digits(usize, usize),
    /// Printable text of at most so many characters.
    Text(usize),
    Uuid,
    Url,
    Boolean,
}

/// The elements of a browser's AReq, less card number and expiry, which [`AReq::parse`] reads into their own types.
const REQUIRED: &[(&str, Rule)] = &[
    ("messageType", Rule::OneOf(&["AReq"])),
    ("messageVersion", Rule::OneOf(&VERSIONS)),
    ("messageCategory", Rule::OneOf(&["01", "02"])),
    ("deviceChannel", Rule::OneOf(&["02"])),
    ("threeDSCompInd", Rule::OneOf(&["Y", "N", "U"])),
    (
        "threeDSRequestorAuthenticationInd",
        Rule::OneOf(&["01", "02", "03", "04", "05", "06"]),
    ),
    ("threeDSRequestorID", Rule::Text(35)),
    ("threeDSRequestorName", Rule::Text(40)),
    ("threeDSRequestorURL", Rule::Url),
    ("threeDSServerRefNumber", Rule::Text(32)),
    ("threeDSServerTransID", Rule::Uuid),
    ("threeDSServerURL", Rule::Url),
    ("notificationURL", Rule::Url),
    ("acquirerBIN", Rule::Digits(6, 11)),
    ("acquirerMerchantID", Rule::Text(35)),
    ("mcc", Rule::Digits(4, 4)),
    ("merchantCountryCode", Rule::Digits(3, 3)),
    ("merchantName", Rule::Text(40)),
    ("browserAcceptHeader", Rule::Text(2048)),
    ("browserLanguage", Rule::Text(8)),
    ("browserUserAgent", Rule::Text(2048)),
];

/// Required of a payment (message category 01).
const OF_PAYMENTS: &[(&str, Rule)] = &[
    ("purchaseAmount", Rule::Digits(1, 48)),
    ("purchaseCurrency", Rule::Digits(3, 3)),
    ("purchaseExponent", Rule::Digits(1, 1)),
    ("purchaseDate", Rule::Digits(14, 14)),
    ("transType", Rule::OneOf(&["01", "03", "10", "11", "28"])),
];

/// Required of 2.2.0, where scripts need not run.
const OF_2_2: &[(&str, Rule)] = &[("browserJavascriptEnabled", Rule::Boolean)];

/// Required where scripts run.
const OF_SCRIPTS: &[(&str, Rule)] = &[
    ("browserJavaEnabled", Rule::Boolean),
    (
        "browserColorDepth",
        Rule::OneOf(&["1", "4", "8", "15", "16", "24", "32", "48"]),
    ),
    ("browserScreenHeight", Rule::Digits(1, 6)),
    ("browserScreenWidth", Rule::Digits(1, 6)),
    ("browserTZ", Rule::Text(5)),
];

/// Checked where they are there.
const OPTIONAL: &[(&str, Rule)] = &[
    ("browserIP", Rule::Text(45)),
    (
        "threeDSRequestorChallengeInd",
        Rule::OneOf(&["01", "02", "03", "04", "05", "06", "07", "08", "09"]),
    ),
    ("threeDSServerOperatorID", Rule::Text(32)),
    ("cardholderName", Rule::Text(45)),
    ("email", Rule::Text(254)),
];

/// An AReq that was checked.
pub(crate) struct AReq {
    pub(crate) number: Pan,
    fields: Map<String, Value>,
}

/// EMV's Erro message: code, description and the elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Erro {
    pub(crate) code: &'static str,
    pub(crate) description: &'static str,
    pub(crate) detail: String,
}

impl Erro {
    pub(crate) fn new(code: &'static str, description: &'static str, detail: &str) -> Self {
        Self {
            code,
            description,
            detail: detail.to_owned(),
        }
    }

    /// The message, from the directory server.
    pub(crate) fn message(&self, of: &str) -> Value {
        json!({
            "messageType": "Erro", "messageVersion": "2.2.0", "errorComponent": "D", "errorMessageType": of,
            "errorCode": self.code, "errorDescription": self.description, "errorDetail": self.detail,
        })
    }
}

/// An element of the card on its way into its type: wiped on drop, and without Debug or Serialize.
pub(super) struct CardElement(pub(super) Zeroizing<String>);

impl<'de> Deserialize<'de> for CardElement {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// The card's elements.
#[derive(Deserialize)]
struct CardElements {
    #[serde(rename = "acctNumber")]
    number: Option<CardElement>,
    #[serde(rename = "cardExpiryDate")]
    expiry: Option<CardElement>,
}

impl AReq {
    /// Reads and checks one.
    ///
    /// # Errors
    /// 101 no message, 201 elements are missing, 203 elements have another format.
    pub(crate) fn parse(bytes: &[u8], today: Month) -> Result<Self, Erro> {
        let not_one = || Erro::new("101", "Message received is not valid.", "not an AReq");
        let card: CardElements = serde_json::from_slice(bytes).map_err(|_| not_one())?;
        let fields: Value = serde_json::from_slice(bytes).map_err(|_| not_one())?;
        let Value::Object(mut fields) = fields else {
            return Err(not_one());
        };
        for name in ["acctNumber", "cardExpiryDate"] {
            if let Some(Value::String(mut text)) = fields.remove(name) {
                text.zeroize();
            }
        }
        let mut missing = vec![];
        let mut wrong = vec![];
        for rules in required(&fields) {
            for (name, rule) in rules {
                match fields.get(*name) {
                    None | Some(Value::Null) => missing.push(*name),
                    Some(value) if !fits(value, rule) => wrong.push(*name),
                    Some(_) => {}
                }
            }
        }
        for (name, rule) in OPTIONAL {
            if fields.get(*name).is_some_and(|value| !fits(value, rule)) {
                wrong.push(*name);
            }
        }
        let number = card.number.as_ref().map(|element| Pan::parse(&element.0));
        match &number {
            None => missing.push("acctNumber"),
            Some(Err(_)) => wrong.push("acctNumber"),
            Some(Ok(_)) => {}
        }
        if let Some(element) = &card.expiry
            && expiry(&element.0).is_none_or(|month| month < today)
        {
            wrong.push("cardExpiryDate");
        }
        if !missing.is_empty() {
            let missing = missing.join(",");
            return Err(Erro::new(
                "201",
                "A message element required as defined in Table A.1 is missing from the message.",
                &missing,
            ));
        }
        let wrong_format = |names: &str| {
            let description = "Data element not in the required format or value is invalid as defined in Table A.1.";
            Erro::new("203", description, names)
        };
        match number {
            Some(Ok(number)) if wrong.is_empty() => Ok(Self { number, fields }),
            _ => Err(wrong_format(&wrong.join(","))),
        }
    }

    /// An element.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// A number that was checked to be digits.
    pub(crate) fn number_of(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// The brand's id.
    pub(crate) fn brand(&self) -> Brand {
        self.number.brand()
    }
}

fn required(fields: &Map<String, Value>) -> Vec<&'static [(&'static str, Rule)]> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let mut rules = vec![REQUIRED];
    if text("messageCategory") == Some("01") {
        rules.push(OF_PAYMENTS);
    }
    if text("messageVersion") != Some("2.1.0") {
        rules.push(OF_2_2);
    }
    if fields.get("browserJavascriptEnabled") != Some(&Value::Bool(false)) {
        rules.push(OF_SCRIPTS);
    }
    rules
}

fn fits(value: &Value, rule: &Rule) -> bool {
    if let Rule::Boolean = rule {
        return value.is_boolean();
    }
    let Some(text) = value.as_str() else {
        return false;
    };
    match rule {
        Rule::OneOf(words) => words.contains(&text),
        Rule::Digits(from, to) => {
            (*from..=*to).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
        }
        Rule::Text(most) => {
            (1..=*most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        }
        Rule::Uuid => {
            text.len() == 36
                && text.bytes().enumerate().all(|(at, b)| match at {
                    8 | 13 | 18 | 23 => b == b'-',
                    _ => b.is_ascii_hexdigit(),
                })
        }
        Rule::Url => {
            let http = text.starts_with("https://") || text.starts_with("http://");
            http && text.len() <= 2048 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"')
        }
        Rule::Boolean => false,
    }
}

// YYMM
fn expiry(text: &str) -> Option<Month> {
    let digits = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    let (year, month) = digits.then(|| text.split_at(2))?;
    Month::new(2000 + year.parse::<u16>().ok()?, month.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Value {
        json!({
            "messageType": "AReq", "messageVersion": "2.2.0", "messageCategory": "01", "deviceChannel": "02",
            "threeDSCompInd": "Y", "threeDSRequestorAuthenticationInd": "01", "threeDSRequestorID": "r1",
            "threeDSRequestorName": "Shop", "threeDSRequestorURL": "https://shop.example",
            "threeDSServerRefNumber": "CARDSEAL", "threeDSServerTransID": "8a880dc0-d2d2-4067-bcb1-b08d1690b26e",
            "threeDSServerURL": "https://payments.example/3ds/results",
            "notificationURL": "https://payments.example/3ds/x/challenge", "acquirerBIN": "400000",
            "acquirerMerchantID": "m1", "mcc": "5411", "merchantCountryCode": "276", "merchantName": "Shop",
            "purchaseAmount": "1999", "purchaseCurrency": "840", "purchaseExponent": "2",
            "purchaseDate": "20261121094500", "transType": "01", "acctNumber": "4242424242424242",
            "cardExpiryDate": "4012", "browserAcceptHeader": "*/*", "browserLanguage": "en",
            "browserUserAgent": "Mozilla/5.0", "browserJavascriptEnabled": true, "browserJavaEnabled": false,
            "browserColorDepth": "24", "browserScreenHeight": "844", "browserScreenWidth": "390", "browserTZ": "-60",
        })
    }

    fn parse(message: &Value) -> Result<AReq, Erro> {
        let today = Month::new(2026, 11).expect("a month");
        AReq::parse(message.to_string().as_bytes(), today)
    }

    #[test]
    fn a_whole_message_is_taken_and_each_missing_element_is_named() {
        assert!(parse(&whole()).is_ok());
        let names: Vec<String> = whole()
            .as_object()
            .expect("an object")
            .keys()
            .filter(|name| *name != "cardExpiryDate")
            .cloned()
            .collect();
        for name in names {
            let mut message = whole();
            message.as_object_mut().expect("an object").remove(&name);
            let erro = parse(&message).err().expect("an Erro");
            assert_eq!((erro.code, erro.detail.as_str()), ("201", name.as_str()));
        }
    }

    #[test]
    fn elements_of_another_format_are_named() {
        for (name, value) in [
            ("messageVersion", json!("1.0.2")),
            ("deviceChannel", json!("01")),
            ("threeDSServerTransID", json!("not-a-uuid")),
            ("notificationURL", json!("javascript:alert(1)")),
            ("browserColorDepth", json!("30")),
            ("browserScreenHeight", json!(844)),
            ("browserJavaEnabled", json!("false")),
            ("browserLanguage", json!("a-language-too-long")),
            ("acctNumber", json!("4242424242424241")),
            ("cardExpiryDate", json!("2013")),
            ("cardExpiryDate", json!("2610")),
            ("purchaseAmount", json!("19.99")),
        ] {
            let mut message = whole();
            message[name] = value;
            let erro = parse(&message).err().expect("an Erro");
            assert_eq!((erro.code, erro.detail.as_str()), ("203", name));
        }
    }

    #[test]
    fn without_scripts_the_screen_is_not_asked_for() {
        let mut message = whole();
        message["browserJavascriptEnabled"] = json!(false);
        for name in [
            "browserColorDepth",
            "browserScreenHeight",
            "browserScreenWidth",
            "browserTZ",
        ] {
            message.as_object_mut().expect("an object").remove(name);
        }
        assert!(parse(&message).is_ok());
    }

    #[test]
    fn what_is_no_message() {
        for text in [
            "",
            "[]",
            "{",
            "\"AReq\"",
            "{\"acctNumber\":4242424242424242}",
        ] {
            let today = Month::new(2026, 11).expect("a month");
            let erro = AReq::parse(text.as_bytes(), today).err().expect("an Erro");
            assert_eq!(erro.code, "101", "{text}");
        }
    }
}
