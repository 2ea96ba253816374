//! `payment_method_options[card][cvc_token]` of a confirmation: the buyer gave the security code of a saved card again.
//! The exchange may be asked for once more (a resumed confirmation, 3-D Secure), and then with the same words, so the
//! token is kept, sealed, until the outcome.

use store::{Tx, params};
use vault_api::Token;

use crate::error::{Error, Refusal};
use crate::http::params::Params;
use crate::seal::Seal;

/// The parameter, for errors.
pub const PARAM: &str = "payment_method_options[card][cvc_token]";

/// Takes `cvc_token` out of the hash `payment_method_options[card]`.
pub fn take(card: &mut Params) -> Result<Option<Token>, Error> {
    let Some(token) = card.text("cvc_token", 200)? else {
        return Ok(None);
    };
    match Token::parse(&token) {
        Ok(token) => Ok(Some(token)),
        Err(_) => Err(Refusal::no_such("token").param(PARAM).into()),
    }
}

/// Keeps the token that a confirmation came with; the same confirmation again brings the same one.
pub fn keep(
    tx: &mut Tx<'_>,
    seal: &Seal,
    confirmation: &str,
    token: &Token,
    now_ms: i64,
) -> Result<(), Error> {
    let sealed = seal.seal(confirmation, token.expose().as_bytes());
    tx.execute(
        "insert into cvc_tokens (confirmation, sealed, created_ms) values ($1, $2, $3) on conflict do nothing",
        params![confirmation, sealed, now_ms],
    )?;
    Ok(())
}

/// The token that a confirmation came with.
pub fn find(tx: &mut Tx<'_>, seal: &Seal, confirmation: &str) -> Result<Option<Token>, Error> {
    let sql = "select sealed from cvc_tokens where confirmation = $1";
    let Some(row) = tx.first(sql, params![confirmation])? else {
        return Ok(None);
    };
    let unreadable = || Error::Internal("a sealed token cannot be opened");
    let plain = seal.open(confirmation, &row.get::<Vec<u8>>(0)?);
    let plain = plain.map_err(|_| unreadable())?;
    let text = std::str::from_utf8(&plain).map_err(|_| unreadable())?;
    Token::parse(text).map(Some).map_err(|_| unreadable())
}

/// The outcome is known.
pub fn forget(tx: &mut Tx<'_>, confirmation: &str) -> Result<(), Error> {
    let sql = "delete from cvc_tokens where confirmation = $1";
    tx.execute(sql, params![confirmation])?;
    Ok(())
}

/// Those of confirmations that came to nothing: after a day no token is of any use.
pub fn sweep(tx: &mut Tx<'_>, now_ms: i64) -> Result<(), Error> {
    tx.execute(
        "delete from cvc_tokens where created_ms < $1
         and not exists (select 1 from attempts where confirmation = cvc_tokens.confirmation
                         and state in ('sending', 'unknown'))",
        params![now_ms - 24 * 60 * 60 * 1000],
    )?;
    Ok(())
}
