//! Whose pages may frame an authentication: those that the merchant's publishable keys have registered at the vault.

use store::{Tx, params};
use vault_api::keys::KeyInfo;
use vault_api::origins::{allowed, is_origin};

use crate::app::{App, Owner};
use crate::error::Error;

/// A publishable key was presented: it is remembered, so that its origins can be asked for.
pub async fn remember(app: &App, sha256: &str, info: &KeyInfo) -> Result<(), Error> {
    if app.three_ds.is_none() {
        return Ok(());
    }
    let (sha256, merchant, live) = (
        sha256.to_owned(),
        info.merchant.clone(),
        info.mode.is_live(),
    );
    let write = move |tx: &mut Tx<'_>| -> Result<(), Error> {
        tx.execute(
            "insert into browser_keys (sha256, merchant, livemode) values ($1, $2, $3) on conflict do nothing",
            params![&sha256, &merchant, live],
        )?;
        Ok(())
    };
    app.store.write(write).await
}

/// Whether one of the merchant's publishable keys has the origin registered, by the vault's word of now.
pub async fn may_frame(app: &App, owner: &Owner, origin: &str) -> Result<bool, Error> {
    if !is_origin(origin) {
        return Ok(false);
    }
    let of = owner.clone();
    let read = move |tx: &mut Tx<'_>| -> Result<Vec<String>, Error> {
        let rows = tx.all(
            "select sha256 from browser_keys where merchant = $1 and livemode = $2",
            params![&of.merchant, of.livemode],
        )?;
        rows.iter().map(|row| Ok(row.get(0)?)).collect()
    };
    for sha256 in app.store.read(read).await? {
        let info = match app.keys.get(&sha256) {
            Some(info) => Some(info),
            None => {
                let found = app.vault.lookup_key(sha256.clone()).await;
                let found =
                    found.map_err(|failure| Error::Vault(format!("key look-up: {failure}")))?;
                if let Some(info) = &found {
                    app.keys.put(sha256, info.clone());
                }
                found
            }
        };
        if info
            .is_some_and(|info| info.merchant == owner.merchant && allowed(&info.origins, origin))
        {
            return Ok(true);
        }
    }
    Ok(false)
}
