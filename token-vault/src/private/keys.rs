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
    let info = app
        .store
        .read(move |tx| {
            let Some(info) = records::keys::by_hash(tx, &body.sha256, now)? else {
                return Ok(None);
            };
            let linked = records::keys::is_linked(tx, &caller.key_id, &info.merchant)?;
            Ok::<_, Error>(
                (linked && info.mode == mode && info.kind != Kind::Service).then_some(info),
            )
        })
        .await?;
    info.map(Json).ok_or(Code::NotFound.into())
}
