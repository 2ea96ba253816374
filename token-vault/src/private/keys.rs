//! `POST /v1/keys/lookup`: payments sends the SHA-256 of a presented key to learn whose it is.

use axum::extract::State;
use vault_api::Code;
use vault_api::keys::{KeyInfo, Kind, Lookup};

use crate::http::{Caller, Json};
use crate::{App, Error, records};

/// Whose key is it? A service's own key is nobody's business.
pub async fn lookup(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Lookup>,
) -> Result<Json<KeyInfo>, Error> {
    caller.may("keys:lookup")?;
    let (now, mode) = (app.clock.now(), caller.mode);
    let parts = app.clone();
    let info = app
        .store
        .read(move |tx| {
            let macs = parts.root.macs();
            let Some(found) = records::keys::by_hash(tx, macs, &body.sha256, now)? else {
                return Ok(None);
            };
            let info = found.info;
            let linked = records::keys::is_linked(tx, macs, &caller.key_id, &info.merchant)?;
            Ok::<_, Error>(
                (linked && info.mode == mode && info.kind != Kind::Service).then_some(info),
            )
        })
        .await?;
    info.map(Json).ok_or(Code::NotFound.into())
}
