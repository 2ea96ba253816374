//! `dry_run`: the request that would be sent, with its secrets and the card masked. Nothing is sent or recorded, and
//! the card is not even opened: the stars are written in its place.

use http_body_util::BodyExt as _;
use vault_api::Code;
use vault_api::forward::{DryRun, Forward};
use vault_api::keys::Mode;

use super::destinations::Target;
use super::template::{self, Filling};
use super::{opened, wire};
use crate::audit::Actor;
use crate::records::grants;
use crate::records::tokens::Owner;
use crate::{App, Error};

/// Answers the masked request.
///
/// # Errors
/// As a send would, but for what only a send can meet.
pub async fn show(
    app: &App,
    actor: &Actor,
    mode: Mode,
    call: &Forward,
    target: &Target,
) -> Result<DryRun, Error> {
    if mode != Mode::Test {
        return Err(Code::TestModeOnly.into());
    }
    let (asked, merchant, now) = (call.clone(), actor.merchant.clone(), app.clock.now());
    let parts = app.clone();
    let last4 = app
        .store
        .read(move |tx| {
            let owner = Owner {
                merchant: &merchant,
                mode: mode.as_str(),
            };
            let grant =
                grants::find(tx, parts.root.macs(), owner, &asked.grant)?.ok_or(Code::NotFound)?;
            opened::check(&grant, &asked, now)?;
            Ok::<_, Error>(grant.card.last4)
        })
        .await?;
    let filling = Filling::Masked { last4: &last4 };
    let body = template::build(call, &target.operation, filling)?;
    let request = wire::request(target, &call.attempt, body)
        .map_err(|_| Error::Internal("a request could not be written"))?;
    let (head, body) = request.into_parts();
    let mut headers = vec![];
    for (name, value) in &head.headers {
        let fixed = target.destination.headers.iter().find(|h| h.name == name);
        let value = match fixed {
            Some(fixed) => fixed.shown.clone(),
            None => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        headers.push((name.as_str().to_owned(), value));
    }
    let Ok(body) = body.collect().await;
    Ok(DryRun {
        dry_run: true,
        method: head.method.to_string(),
        url: format!("{}{}", target.base_url(), target.operation.path),
        headers,
        body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
    })
}
