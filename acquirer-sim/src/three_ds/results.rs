//! How a challenge ends: the result is set once and told to the 3DS Server (RReq), which acknowledges it (RRes). A
//! result that nobody acknowledged is told again, for as long as this process lives, with growing pauses.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use serde_json::{Value, json};
use store::Tx;

use super::cards;
use super::directory::new_cavv;
use super::records::{self, Authentication, Ended};
use crate::Bank;
use crate::dialects::Problem;

/// Pauses before the result is told again, seconds.
const PAUSES: [u64; 7] = [1, 2, 5, 15, 60, 120, 300];

/// What ends a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Passed,
    Failed,
    /// The cardholder pressed Cancel.
    Cancelled,
    /// Nobody answered in time.
    TimedOut,
}

/// Ends the challenge, unless it has ended, and tells the 3DS Server. The result stands when that one does not answer.
pub(crate) async fn end(
    bank: &Bank,
    authentication: &Authentication,
    how: End,
) -> Result<Authentication, Problem> {
    let ended = ended(&authentication.brand, how);
    let id = authentication.acs_trans_id.clone();
    let write = move |tx: &mut Tx<'_>| records::end(tx, &id, &ended);
    let now = bank.0.store.write(write).await?;
    let now = now.ok_or(Problem::INTERNAL)?;
    if !now.acknowledged && !tell(bank, &now).await {
        let (bank, again) = (bank.clone(), now.clone());
        tokio::spawn(async move {
            for pause in PAUSES {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                if tell(&bank, &again).await {
                    return;
                }
            }
        });
    }
    Ok(now)
}

/// Ends the challenge by itself after `seconds`.
pub(crate) fn end_after(bank: &Bank, authentication: &Authentication, seconds: i64) {
    let (bank, authentication) = (bank.clone(), authentication.clone());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(seconds.unsigned_abs())).await;
        if end(&bank, &authentication, End::TimedOut).await.is_err() {
            tracing::error!("a challenge could not be ended");
        }
    });
}

fn ended(brand: &str, how: End) -> Ended {
    let status = if how == End::Passed { "Y" } else { "N" };
    Ended {
        status,
        reason: match how {
            End::Passed => None,
            End::Failed => Some("19"),
            End::Cancelled => Some("01"),
            End::TimedOut => Some("14"),
        },
        cancel: match how {
            End::Passed | End::Failed => None,
            End::Cancelled => Some("01"),
            End::TimedOut => Some("04"),
        },
        eci: cards::eci(brand, status),
        cavv: (how == End::Passed).then(new_cavv),
    }
}

// True when the 3DS Server has acknowledged it.
async fn tell(bank: &Bank, authentication: &Authentication) -> bool {
    let Ok(servers) = bank.three_ds_servers() else {
        return false;
    };
    let mut request =
        Request::post(&authentication.results_url).header(header::CONTENT_TYPE, "application/json");
    if let Some(key) = &servers.results_key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    let Ok(request) = request.body(Bytes::from(rreq(authentication).to_string())) else {
        return false;
    };
    let acknowledged = match servers.client.send(request).await {
        Ok(answer) => {
            let rres: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
            rres["messageType"] == "RRes" && rres["dsTransID"] == *authentication.ds_trans_id
        }
        Err(_) => false,
    };
    if !acknowledged {
        tracing::warn!("a result was not acknowledged by the 3DS Server");
        return false;
    }
    let id = authentication.acs_trans_id.clone();
    let write = move |tx: &mut Tx<'_>| records::acknowledged(tx, &id);
    bank.0.store.write(write).await.is_ok()
}

fn rreq(authentication: &Authentication) -> Value {
    let mut rreq = json!({
        "messageType": "RReq",
        "messageVersion": authentication.message_version,
        "messageCategory": authentication.category,
        "threeDSServerTransID": authentication.server_trans_id,
        "acsTransID": authentication.acs_trans_id,
        "dsTransID": authentication.ds_trans_id,
        "authenticationType": "02",
        "authenticationMethod": "02",
        "interactionCounter": "01",
        "transStatus": authentication.status,
    });
    for (name, value) in [
        ("transStatusReason", &authentication.reason),
        ("challengeCancel", &authentication.cancel),
        ("eci", &authentication.eci),
        ("authenticationValue", &authentication.cavv),
    ] {
        if let Some(value) = value {
            rreq[name] = value.as_str().into();
        }
    }
    rreq
}
