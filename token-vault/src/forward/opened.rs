//! The card of a grant, opened for one send.

use card::{Brand, Expiry};
use pan::{CardData, Cvv};
use store::Tx;
use vault_api::Code;
use vault_api::forward::Forward;

use super::retry::CvvMode;
use super::template;
use crate::crypto::cvv::SealedCvv;
use crate::crypto::envelope::Place;
use crate::records::cvvs;
use crate::records::grants::GrantRow;
use crate::{App, Error, replicas};

/// Refuses a send that the grant does not cover.
///
/// # Errors
/// `grant_expired`, `binding_mismatch`.
pub fn check(grant: &GrantRow, body: &Forward, now: i64) -> Result<(), Error> {
    if grant.expires_at <= now {
        return Err(Code::GrantExpired.into());
    }
    if body.currency != grant.currency || body.amount > grant.amount {
        return Err(Code::BindingMismatch.into());
    }
    Ok(())
}

/// The card, and its CVV as it is at rest when the body asks for it.
///
/// # Errors
/// `grant_expired`, `cvc_gone`, or what does not open.
pub fn open(
    app: &App,
    tx: &mut Tx<'_>,
    grant: &GrantRow,
    body: &Forward,
    now: i64,
) -> Result<(CardData, Option<SealedCvv>), Error> {
    let sealed = grant.sealed.as_ref().ok_or(Code::GrantExpired)?;
    let tenant = app.tenants.by_id(&sealed.key_id)?;
    let record = body.grant.public();
    let opened = tenant.open_card(
        Place {
            kind: "grant",
            record,
            expires_at: grant.expires_at,
        },
        sealed,
    )?;
    let expiry = Expiry::new(grant.card.exp_year, grant.card.exp_month);
    let (cvc, at_rest) = if template::wants_cvc(&body.body) {
        let (cvc, at_rest) = cvv(app, tx, body, grant, now)?;
        (Some(cvc), Some(at_rest))
    } else {
        (None, None)
    };
    let preferred = grant.card.networks.as_ref();
    let preferred = preferred.and_then(|networks| networks.preferred.as_deref());
    let network =
        preferred.map(|id| Brand::from_id(id).ok_or(Error::Internal("a network is unknown")));
    let card = CardData {
        number: opened.number,
        expiry: expiry.ok_or(Error::Internal("a kept card has no expiry"))?,
        cvc,
        name: opened.holder.name,
        postal_code: opened.holder.postal_code,
        country: opened.holder.country,
        network: network.transpose()?,
    };
    Ok((card, at_rest))
}

fn cvv(
    app: &App,
    tx: &mut Tx<'_>,
    body: &Forward,
    grant: &GrantRow,
    now: i64,
) -> Result<(Cvv, SealedCvv), Error> {
    if app.cvvs.mode == CvvMode::Off {
        return Err(Code::CvcGone.into());
    }
    let at_rest = match cvvs::find(tx, body.grant.public())? {
        Some(sealed) => sealed,
        None => app
            .cvvs
            .find(body.grant.public(), now)
            .ok_or(Code::CvcGone)?,
    };
    replicas::fetch(app, tx, &at_rest.key, now)?;
    let brand = Brand::from_id(&grant.card.brand).unwrap_or(Brand::Unknown);
    let opened = app.epochs.open(
        &at_rest,
        body.grant.secret(),
        body.grant.public(),
        brand,
        now,
    );
    Ok((opened.map_err(|_| Code::CvcGone)?, at_rest))
}
