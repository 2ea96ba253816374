//! The issuers behind the test's vault, as payments meets them: enrolment and AReq through the vault's forward. What a
//! directory server really checks is tested in acquirer-sim, and the two together in the browser.

use serde_json::{Value, json};
use vault_api::forward::Forward;

/// How an authentication goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// With this transStatus.
    Says(&'static str),
    /// The directory server answers with an Erro.
    Error,
    NotEnrolled,
    /// The vault has sent the AReq and dies before it answers; it has the outcome recorded.
    VaultHangs,
}

/// What was asked and answered.
#[derive(Default)]
pub struct ThreeDs {
    pub areqs: Vec<Value>,
    /// Values that were given out.
    cavvs: Vec<String>,
}

pub const ACS: &str = "https://acs.example";

impl ThreeDs {
    /// Whether an authorisation carries what the issuer gave out.
    pub fn proves(&self, forward: &Forward) -> bool {
        let values = forward.three_d_secure.as_ref();
        let cavv = values.and_then(|values| values.cavv.as_ref());
        cavv.is_some_and(|cavv| self.cavvs.contains(cavv))
    }

    /// A fresh value.
    pub fn cavv(&mut self) -> String {
        let cavv = format!("{:0>27}=", self.cavvs.len());
        self.cavvs.push(cavv.clone());
        cavv
    }
}

/// The vault's answer to a send of kind `authenticate`.
pub fn authenticate(three_ds: &mut ThreeDs, asked: Asked, forward: &Forward) -> Value {
    assert_eq!(forward.body["acctNumber"], "{{card.number}}");
    let body = if forward.operation == "versioning" {
        match asked {
            Asked::NotEnrolled => json!({ "enrolled": false }),
            _ => json!({
                "enrolled": true, "acsStartProtocolVersion": "2.1.0", "acsEndProtocolVersion": "2.2.0",
                "threeDSMethodURL": format!("{ACS}/method"),
            }),
        }
    } else {
        three_ds.areqs.push(forward.body.clone());
        ares(three_ds, asked, &forward.body)
    };
    json!({
        "attempt": forward.attempt, "bytes_sent": "all", "cvc_sent": false,
        "response": { "status": 200, "body": body },
    })
}

fn ares(three_ds: &mut ThreeDs, asked: Asked, areq: &Value) -> Value {
    let status = match asked {
        Asked::Says(status) => status,
        Asked::VaultHangs => "C",
        _ => {
            return json!({ "messageType": "Erro", "errorCode": "403", "errorDetail": "no ACS" });
        }
    };
    let mut ares = json!({
        "messageType": "ARes", "messageVersion": "2.2.0", "transStatus": status,
        "threeDSServerTransID": areq["threeDSServerTransID"], "acsTransID": ACS_TRANSACTION, "dsTransID": DS_TRANSACTION,
    });
    match status {
        "Y" | "A" => {
            ares["eci"] = if status == "Y" { "05" } else { "06" }.into();
            ares["authenticationValue"] = three_ds.cavv().into();
        }
        "C" => ares["acsURL"] = format!("{ACS}/challenge").into(),
        _ => ares["transStatusReason"] = "01".into(),
    }
    ares
}

pub const ACS_TRANSACTION: &str = "d7c1ee99-9478-44a6-b1f2-391e29c6b340";
pub const DS_TRANSACTION: &str = "f25084f0-5b16-4c0a-ae5d-b24808a95e4b";
