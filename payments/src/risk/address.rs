//! From where a buyer pays: the address of the confirming browser, or what the merchant's server tells of it in
//! Stripe's parameters; and how often browsers of one address may confirm at all.

use std::net::IpAddr;

use http::StatusCode;
use service::caller::network;
use service::egress::is_public;
use store::{Tx, params};

use super::rules::Quota;
use super::velocity::{self, Entry};
use crate::app::{App, Owner};
use crate::error::{Error, Refusal};
use crate::http::call::Call;
use crate::http::params::Params;

const KIND: &str = "browser";

/// Who pays, as far as anybody told.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub address: Option<String>,
    /// Stripe's Radar Session, or whatever the merchant's page calls the buyer's session.
    pub session: Option<String>,
}

impl Told {
    /// Takes `mandate_data[customer_acceptance]`, of which the address is used, and `radar_options[session]`.
    pub fn take(params: &mut Params) -> Result<Self, Error> {
        let mut told = Self::default();
        if let Some(mut radar) = params.hash("radar_options")? {
            told.session = radar.text("session", 255)?;
            radar.finish()?;
        }
        let Some(mut mandate) = params.hash("mandate_data")? else {
            return Ok(told);
        };
        let acceptance = mandate.hash("customer_acceptance")?;
        let mut acceptance = acceptance.ok_or_else(|| mandate.missing("customer_acceptance"))?;
        mandate.finish()?;
        acceptance.one_of("type", &["online", "offline"])?;
        acceptance.integer("accepted_at")?;
        if let Some(mut online) = acceptance.hash("online")? {
            online.text("user_agent", 2_048)?;
            if let Some(text) = online.text("ip_address", 45)? {
                let address: IpAddr = text.parse().map_err(|_| {
                    let name = online.name_of("ip_address");
                    Refusal::plain("The address must be an IPv4 or IPv6 address.").param(name)
                })?;
                told.address = Some(network(address));
            }
            online.finish()?;
        }
        if let Some(offline) = acceptance.hash("offline")? {
            offline.finish()?;
        }
        acceptance.finish()?;
        Ok(told)
    }
}

/// The network of a confirming browser. Addresses that are not of the internet say nothing of a buyer: they are this
/// machine's, or those of a proxy that `--trusted-proxy` does not name.
pub fn of_browser(call: &Call) -> Option<String> {
    let client = call.client.filter(|_| call.browser)?;
    is_public(client.to_canonical()).then(|| network(client))
}

/// Refuses a browser whose address has confirmed too often lately; else counts the confirmation.
pub async fn admit(
    app: &App,
    owner: &Owner,
    address: Option<&str>,
    confirmation: &str,
) -> Result<(), Error> {
    let Some((address, quota)) = address.zip(app.risk.browser_payments) else {
        return Ok(());
    };
    let (owner, address, confirmation) =
        (owner.clone(), address.to_owned(), confirmation.to_owned());
    let now_ms = app.clock.now_ms();
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        velocity::alone(tx, &owner, [(KIND, address.as_str())].into_iter())?;
        if let Some(free_ms) = full_until(tx, &owner, &address, &confirmation, quota, now_ms)? {
            let message = "Too many payment requests, please try again later.";
            return Err(Refusal::new("rate_limit", message)
                .status(StatusCode::TOO_MANY_REQUESTS)
                .retry_after((free_ms - now_ms).max(0) / 1000 + 1)
                .into());
        }
        let entry = Entry {
            kind: KIND,
            subject: &address,
            confirmation: &confirmation,
            card: None,
        };
        entry.insert(tx, &owner, now_ms, quota.minutes)
    };
    app.store.write(write).await
}

// Until when there is no room for another confirmation; None when there is.
fn full_until(
    tx: &mut Tx<'_>,
    owner: &Owner,
    address: &str,
    confirmation: &str,
    quota: Quota,
    now_ms: i64,
) -> Result<Option<i64>, Error> {
    let window = quota.minutes * 60_000;
    let rows = tx.all(
        "select created_ms from velocity
         where merchant = $1 and livemode = $2 and kind = $3 and subject = $4 and created_ms > $5
             and confirmation <> $6
         order by created_ms desc limit $7",
        params![
            &owner.merchant,
            owner.livemode,
            KIND,
            address,
            now_ms - window,
            confirmation,
            quota.limit
        ],
    )?;
    if (rows.len() as i64) < quota.limit {
        return Ok(None);
    }
    let oldest = rows.last().map(|row| row.get::<i64>(0)).transpose()?;
    Ok(oldest.map(|oldest| oldest + window))
}
