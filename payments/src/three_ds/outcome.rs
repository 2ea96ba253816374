//! What a charge says of its authentication, and what the acquirer is told.

use serde_json::{Value, json};
use store::{Tx, params};
use vault_api::forward::ThreeDSecure;

use super::exemptions::Exemption;
use super::record::Authentication;
use crate::attempts::Attempt;
use crate::error::Error;

/// The values that go with an authorisation; None when the issuer gave none.
pub fn values(authentication: &Authentication) -> Option<ThreeDSecure> {
    authentication.cavv.as_ref()?;
    Some(ThreeDSecure {
        eci: authentication.eci.clone(),
        cavv: authentication.cavv.clone(),
        ds_transaction_id: authentication.ds_trans_id.clone(),
        version: authentication.version.clone(),
    })
}

/// Writes Stripe's `three_d_secure` into the charge of an attempt that had an authentication, or an exemption from it.
pub fn mark(tx: &mut Tx<'_>, attempt: &Attempt, charge: &str) -> Result<(), Error> {
    let carried = &attempt.carried;
    let said = match (&carried.authentication, carried.exemption) {
        (Some(id), _) => Authentication::find(tx, id)?.as_ref().map(object),
        (None, exemption) => exemption.map(Exemption::object),
    };
    if let Some(said) = said {
        tx.execute(
            "update charges set three_d_secure = $2 where id = $1",
            params![charge, said.to_string()],
        )?;
    }
    Ok(())
}

/// Stripe's object, and whether the issuer bears the loss of a fraud (`liability_shift`, ours).
fn object(authentication: &Authentication) -> Value {
    let (result, reason) = result(authentication);
    json!({
        "authentication_flow": authentication.flow,
        "electronic_commerce_indicator": authentication.eci,
        "exemption_indicator": null,
        "exemption_indicator_applied": false,
        "liability_shift": authentication.cavv.is_some(),
        "result": result,
        "result_reason": reason,
        "transaction_id": authentication.ds_trans_id,
        "version": authentication.version,
    })
}

fn result(authentication: &Authentication) -> (&'static str, Option<&'static str>) {
    match authentication.trans_status.as_deref() {
        Some("Y") => ("authenticated", None),
        Some("A") => ("attempt_acknowledged", None),
        Some("R") => ("failed", Some("rejected")),
        Some("N") => match authentication.cancel.as_deref() {
            None => ("failed", None),
            Some("01") => ("failed", Some("canceled")),
            Some(_) => ("failed", Some("abandoned")),
        },
        Some(_) => ("processing_error", None),
        None if authentication.version.is_none() && authentication.reason.is_none() => {
            ("not_supported", Some("card_not_enrolled"))
        }
        None => ("processing_error", Some("protocol_error")),
    }
}
