//! EMV 3-D Secure messages (2.2.0, browser): what we send, and what we take of what comes.

use serde_json::{Map, Value, json};

use super::record::Authentication;
use super::{ThreeDs, currency};

/// The newest version that we speak.
pub const VERSION: &str = "2.2.0";
/// What EMVCo would have given this 3DS Server.
const REFERENCE: &str = "CARDSEAL_3DS_SERVER_0001";

/// What the directory server says of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolment {
    /// It takes part, in this version, with the issuer's 3DS Method.
    Yes {
        version: String,
        method_url: Option<String>,
    },
    No,
}

/// The body that asks for it: the vault puts the number in.
pub fn versioning() -> Value {
    json!({ "acctNumber": "{{card.number}}" })
}

/// Reads the answer; None when it is none.
pub fn read_versioning(status: u16, body: &Value) -> Option<Enrolment> {
    if status != 200 {
        return None;
    }
    if !body["enrolled"].as_bool()? {
        return Some(Enrolment::No);
    }
    let (start, end) = (
        body["acsStartProtocolVersion"].as_str()?,
        body["acsEndProtocolVersion"].as_str()?,
    );
    // The newest of ours that both sides speak; versions of EMV compare as text.
    let version = [VERSION, "2.1.0"]
        .into_iter()
        .find(|v| (start..=end).contains(v));
    let method_url = body["threeDSMethodURL"].as_str().filter(|url| is_url(url));
    Some(version.map_or(Enrolment::No, |version| Enrolment::Yes {
        version: version.to_owned(),
        method_url: method_url.map(str::to_owned),
    }))
}

/// The AReq, less the card, which the vault puts in.
pub fn areq(setup: &ThreeDs, authentication: &Authentication, now: i64) -> Value {
    let (number, exponent) = currency::numeric(&authentication.currency);
    let setup_only = authentication.is_setup();
    let mut message = json!({
        "messageType": "AReq",
        "messageVersion": authentication.version.as_deref().unwrap_or(VERSION),
        "messageCategory": if setup_only { "02" } else { "01" },
        "deviceChannel": "02",
        "threeDSRequestorAuthenticationInd": if setup_only { "04" } else { "01" },
        "threeDSRequestorChallengeInd": if authentication.mandated { "04" } else { "01" },
        "threeDSRequestorID": setup.requestor_id,
        "threeDSRequestorName": setup.requestor_name,
        "threeDSRequestorURL": setup.requestor_url,
        "threeDSServerRefNumber": REFERENCE,
        "threeDSServerTransID": authentication.transaction_id,
        "threeDSServerURL": format!("{}/3ds/results", setup.public_url),
        "notificationURL": setup.url(&authentication.id, "/challenge"),
        "acquirerBIN": setup.acquirer_bin,
        "acquirerMerchantID": setup.acquirer_merchant_id,
        "mcc": setup.mcc,
        "merchantCountryCode": setup.merchant_country,
        "merchantName": setup.requestor_name,
        "acctNumber": "{{card.number}}",
        "cardExpiryDate": "{{card.expiry.YYMM}}",
    });
    if let Some(message) = message.as_object_mut() {
        if !setup_only {
            message.extend([
                (
                    "purchaseAmount".into(),
                    authentication.amount.to_string().into(),
                ),
                ("purchaseCurrency".into(), number.into()),
                ("purchaseExponent".into(), exponent.into()),
                ("purchaseDate".into(), date(now).into()),
                ("transType".into(), "01".into()),
            ]);
        }
        let browser = authentication.browser.as_ref().and_then(Value::as_object);
        message.extend(browser.cloned().unwrap_or_default());
    }
    message
}

/// What the issuer says: the ARes of an AReq, or the RReq after a challenge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Result {
    pub status: String,
    pub reason: Option<String>,
    pub cancel: Option<String>,
    pub eci: Option<String>,
    pub cavv: Option<String>,
    pub acs_trans_id: String,
    pub ds_trans_id: String,
    pub acs_url: Option<String>,
}

/// Reads an ARes (200) or an RReq about `transaction`; None for an Erro and whatever else.
pub fn read_result(kind: &str, transaction: &str, body: &Value) -> Option<Result> {
    let text = |name: &str, most: usize| {
        let text = body[name].as_str()?;
        let plain = text.len() <= most && text.bytes().all(|b| b.is_ascii_graphic());
        (plain && !text.is_empty()).then(|| text.to_owned())
    };
    if body["messageType"] != kind || body["threeDSServerTransID"] != transaction {
        return None;
    }
    let result = Result {
        status: text("transStatus", 1)?,
        reason: text("transStatusReason", 2),
        cancel: text("challengeCancel", 2),
        eci: text("eci", 2),
        cavv: text("authenticationValue", 64),
        acs_trans_id: text("acsTransID", 36)?,
        ds_trans_id: text("dsTransID", 36)?,
        acs_url: text("acsURL", 2048).filter(|url| is_url(url)),
    };
    let whole = match result.status.as_str() {
        // A result that promises a liability shift carries its proof.
        "Y" | "A" => result.cavv.is_some() && result.eci.is_some(),
        "C" => kind == "ARes" && result.acs_url.is_some(),
        "N" | "U" | "R" => true,
        _ => false,
    };
    whole.then_some(result)
}

/// The CReq, base64url, which the buyer's browser takes to the issuer.
pub fn creq(authentication: &Authentication) -> String {
    use base64::Engine as _;
    let message = json!({
        "messageType": "CReq",
        "messageVersion": authentication.version.as_deref().unwrap_or(VERSION),
        "threeDSServerTransID": authentication.transaction_id,
        "acsTransID": authentication.acs_trans_id,
        // 05: the whole of the frame.
        "challengeWindowSize": "05",
    });
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(message.to_string())
}

/// What the issuer's 3DS Method is posted.
pub fn method_data(setup: &ThreeDs, authentication: &Authentication) -> String {
    use base64::Engine as _;
    let message = json!({
        "threeDSServerTransID": authentication.transaction_id,
        "threeDSMethodNotificationURL": setup.url(&authentication.id, "/method"),
    });
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(message.to_string())
}

/// The acknowledgement of an RReq.
pub fn rres(rreq: &Value) -> Value {
    json!({
        "messageType": "RRes",
        "messageVersion": rreq["messageVersion"],
        "threeDSServerTransID": rreq["threeDSServerTransID"],
        "acsTransID": rreq["acsTransID"],
        "dsTransID": rreq["dsTransID"],
        "resultsStatus": "01",
    })
}

/// EMV's Erro, in answer to an RReq.
pub fn erro(code: &str, description: &str, detail: &str) -> Value {
    json!({
        "messageType": "Erro", "messageVersion": VERSION, "errorComponent": "S", "errorMessageType": "RReq",
        "errorCode": code, "errorDescription": description, "errorDetail": detail,
    })
}

/// Whether this is an http(s) URL that may stand in an attribute and whose origin may stand in a header.
pub fn is_url(url: &str) -> bool {
    let http = url.starts_with("https://") || url.starts_with("http://");
    let plain = url
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"\"'<>;,\\".contains(&b));
    http && plain && url.len() <= 2048
}

/// Scheme, host and port of a URL.
pub fn origin_of(url: &str) -> String {
    let end = url
        .char_indices()
        .filter(|(_, c)| *c == '/')
        .nth(2)
        .map_or(url.len(), |(at, _)| at);
    let origin = &url[..end];
    let end = origin.find(['?', '#']).unwrap_or(origin.len());
    origin[..end].to_owned()
}

// YYYYMMDDHHMMSS, UTC (civil from days, Howard Hinnant's).
fn date(now: i64) -> String {
    let (days, seconds) = (now.div_euclid(86_400), now.rem_euclid(86_400));
    let (year, month, day) = card::calendar::civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

/// What the buyer's browser says of itself, as the page posts it, with what its request said; or what is wrong.
pub fn browser(
    posted: &Value,
    accept: &str,
    user_agent: &str,
    ip: Option<String>,
) -> std::result::Result<Value, &'static str> {
    let mut browser = Map::new();
    let mut put = |name: &str, value: Value| browser.insert(name.to_owned(), value);
    let complete = posted["threeDSCompInd"].as_str().unwrap_or_default();
    if !["Y", "N", "U"].contains(&complete) {
        return Err("threeDSCompInd");
    }
    put("threeDSCompInd", complete.into());
    put("browserJavascriptEnabled", true.into());
    let java = posted["browserJavaEnabled"]
        .as_bool()
        .ok_or("browserJavaEnabled")?;
    put("browserJavaEnabled", java.into());
    let language = posted["browserLanguage"].as_str().unwrap_or_default();
    let tag = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if !(1..=35).contains(&language.len()) || !language.bytes().all(tag) {
        return Err("browserLanguage");
    }
    // EMV has room for eight characters; a longer tag is cut at a subtag.
    let short = match language.get(..8) {
        Some(start) if language.len() > 8 => start.rsplit_once('-').map_or(start, |(head, _)| head),
        _ => language,
    };
    put("browserLanguage", short.into());
    let depth = whole(posted, "browserColorDepth", 1, 64).ok_or("browserColorDepth")?;
    // EMV knows these; a screen in between has at least the one below (30 bits are told as 24).
    let known = [48, 32, 24, 16, 15, 8, 4, 1];
    let depth = known.iter().find(|known| **known <= depth).unwrap_or(&1);
    put("browserColorDepth", depth.to_string().into());
    for name in ["browserScreenHeight", "browserScreenWidth"] {
        let size = whole(posted, name, 0, 999_999).ok_or(name)?;
        put(name, size.to_string().into());
    }
    let zone = whole(posted, "browserTZ", -900, 900).ok_or("browserTZ")?;
    put("browserTZ", zone.to_string().into());
    for (name, header) in [
        ("browserAcceptHeader", accept),
        ("browserUserAgent", user_agent),
    ] {
        let printable: String = header
            .chars()
            .filter(|c| !c.is_control())
            .take(2048)
            .collect();
        if printable.is_empty() {
            return Err(name);
        }
        put(name, printable.into());
    }
    if let Some(ip) = ip {
        put("browserIP", ip.into());
    }
    Ok(Value::Object(browser))
}

fn whole(posted: &Value, name: &'static str, from: i64, to: i64) -> Option<i64> {
    let number = posted[name].as_i64()?;
    (from..=to).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), "19700101000000");
        assert_eq!(date(1_709_208_000), "20240229120000");
        assert_eq!(date(1_795_340_700), "20261122094500");
    }

    #[test]
    fn origins() {
        for (url, origin) in [
            ("https://acs.example/3ds/x?y#z", "https://acs.example"),
            ("http://127.0.0.1:4006/3ds", "http://127.0.0.1:4006"),
            ("https://acs.example", "https://acs.example"),
            ("https://acs.example?x", "https://acs.example"),
        ] {
            assert_eq!(origin_of(url), origin);
        }
        for bad in [
            "javascript:alert(1)",
            "https://a/;x",
            "https://a/\"x",
            "//a",
            "https://a/ b",
        ] {
            assert!(!is_url(bad), "{bad}");
        }
    }

    #[test]
    fn a_result_without_its_proof_is_none() {
        let result = |status: &str| {
            json!({
                "messageType": "ARes", "threeDSServerTransID": "t", "transStatus": status, "acsTransID": "a",
                "dsTransID": "d", "eci": "05", "authenticationValue": "AAAA", "acsURL": "https://acs.example/c",
            })
        };
        for status in ["Y", "A", "C", "N", "U", "R"] {
            assert!(
                read_result("ARes", "t", &result(status)).is_some(),
                "{status}"
            );
        }
        for (name, status) in [
            ("authenticationValue", "Y"),
            ("eci", "A"),
            ("acsURL", "C"),
            ("acsTransID", "N"),
            ("transStatus", "N"),
        ] {
            let mut body = result(status);
            body.as_object_mut().expect("an object").remove(name);
            assert!(read_result("ARes", "t", &body).is_none(), "{name}");
        }
        assert!(read_result("ARes", "other", &result("Y")).is_none());
        assert!(read_result("RReq", "t", &result("Y")).is_none());
        assert!(read_result("ARes", "t", &result("X")).is_none());
        assert!(read_result("ARes", "t", &json!({"messageType": "Erro"})).is_none());
    }

    #[test]
    fn versions() {
        let answer = |start: &str, end: &str| json!({"enrolled": true, "acsStartProtocolVersion": start, "acsEndProtocolVersion": end});
        let version = |start, end| match read_versioning(200, &answer(start, end)) {
            Some(Enrolment::Yes { version, .. }) => version,
            other => format!("{other:?}"),
        };
        assert_eq!(version("2.1.0", "2.2.0"), "2.2.0");
        assert_eq!(version("2.1.0", "2.3.1"), "2.2.0");
        assert_eq!(version("2.1.0", "2.1.0"), "2.1.0");
        assert_eq!(version("2.3.1", "2.3.1"), "Some(No)");
        let no = json!({"enrolled": false});
        assert_eq!(read_versioning(200, &no), Some(Enrolment::No));
        assert_eq!(read_versioning(500, &no), None);
        assert_eq!(read_versioning(200, &json!({})), None);
    }

    #[test]
    fn a_browser_is_taken_whole_or_the_element_is_named() {
        let posted = json!({
            "threeDSCompInd": "Y", "browserJavaEnabled": false, "browserLanguage": "zh-Hant-TW",
            "browserColorDepth": 30, "browserScreenHeight": 844, "browserScreenWidth": 390, "browserTZ": -330,
        });
        let take = |posted: &Value| browser(posted, "text/html", "Mozilla/5.0", None);
        let taken = take(&posted).expect("whole");
        assert_eq!(taken["browserLanguage"], "zh-Hant");
        assert_eq!(taken["browserColorDepth"], "24");
        assert_eq!(taken["browserTZ"], "-330");
        for name in posted.as_object().expect("an object").keys() {
            let mut lacking = posted.clone();
            lacking.as_object_mut().expect("an object").remove(name);
            assert_eq!(take(&lacking), Err(name.as_str()), "{name}");
        }
        assert_eq!(browser(&posted, "", "x", None), Err("browserAcceptHeader"));
    }
}
