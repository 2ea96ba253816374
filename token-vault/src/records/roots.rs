//! Which root keys wrap, or did: ids only. What a root is comes from the operator, never from a row.

use store::{Store, Tx, params};
use vault_api::keys::Mode;

use crate::Error;
use crate::crypto::root::Provider;

/// The id of the root that wraps new keys. On PostgreSQL the row is share-locked until the transaction ends, so that
/// no key is made under a root after [`activate`] replaced it.
///
/// # Errors
/// The store's.
pub fn active(tx: &mut Tx<'_>, mode: Mode) -> Result<Option<String>, Error> {
    let lock = if tx.is_postgres() { " for share" } else { "" };
    let sql = format!("select id from roots where mode = $1 and state = 'active'{lock}");
    let mut row = tx.first(&sql, params![mode.as_str()])?;
    if row.is_none() && tx.is_postgres() {
        // It waited for an activation that is over now; a new statement sees the new root.
        row = tx.first(&sql, params![mode.as_str()])?;
    }
    row.map(|row| Ok(row.get(0)?)).transpose()
}

/// The active root; `first` becomes it when there is none. A database from before this table has keys: then the root
/// that wraps them is the one.
///
/// # Errors
/// The store's.
pub async fn active_or_first(
    store: &Store,
    mode: Mode,
    first: &dyn Provider,
    now: i64,
) -> Result<String, Error> {
    let (id, provider, algorithm) = (first.id().to_owned(), first.provider(), first.algorithm());
    store
        .write(move |tx| {
            if let Some(active) = active(tx, mode)? {
                return Ok(active);
            }
            let older = tx.first(
                "select root_id from tenant_keys where mode = $1 order by created_at desc, id limit 1",
                params![mode.as_str()],
            )?;
            let id = match older {
                Some(row) => row.get(0)?,
                None => id.clone(),
            };
            insert(tx, &id, mode, (provider, algorithm), now)?;
            active(tx, mode)?.ok_or(Error::Internal("no root is active"))
        })
        .await
}

fn insert(
    tx: &mut Tx<'_>,
    id: &str,
    mode: Mode,
    (provider, algorithm): (&str, &str),
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "insert into roots (id, mode, provider, algorithm, state, created_at)
         values ($1, $2, $3, $4, 'active', $5) on conflict do nothing",
        params![id, mode.as_str(), provider, algorithm, now],
    )?;
    Ok(())
}

/// Makes `root` the one that wraps; the others only unwrap from now on.
///
/// # Errors
/// The store's.
pub fn activate(
    tx: &mut Tx<'_>,
    root_id: &str,
    mode: Mode,
    kind: (&str, &str),
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "update roots set state = 'decrypt_only' where mode = $1 and state = 'active' and id <> $2",
        params![mode.as_str(), root_id],
    )?;
    tx.execute(
        "update roots set state = 'active', retired_at = null where id = $1 and mode = $2",
        params![root_id, mode.as_str()],
    )?;
    insert(tx, root_id, mode, kind, now)
}

/// Retires the roots that nothing names any more; which.
///
/// # Errors
/// The store's.
pub fn retire_unused(tx: &mut Tx<'_>, mode: Mode, now: i64) -> Result<Vec<String>, Error> {
    let rows = tx.all(
        "update roots set state = 'retired', retired_at = $2
         where mode = $1 and state = 'decrypt_only'
           and not exists (select 1 from tenant_keys k where k.root_id = roots.id and k.mode = $1)
           and not exists (select 1 from service_secrets s where s.root_id = roots.id and s.mode = $1)
         returning id",
        params![mode.as_str(), now],
    )?;
    rows.iter().map(|row| Ok(row.get(0)?)).collect()
}
