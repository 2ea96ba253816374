//! Audit: a typed event in the same transaction as the act. If the event cannot be written, the act fails
//! (PCI DSS 10.2: who, what, when, which object, with what result).

use store::{Tx, params};

use crate::Error;
use crate::http::Caller;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A card became a token.
    Tokenise,
    /// A token became a grant, a stored card or both.
    Exchange,
    /// A token was revoked.
    Revoke,
    /// A stored card was read.
    ReadCard,
    /// A stored card's expiry or network was changed.
    UpdateCard,
    /// A stored card was deleted.
    DeleteCard,
    /// A card is about to be sent.
    ForwardSending,
    /// A send ended.
    ForwardOutcome,
    /// An attempt was closed before it started.
    CloseAttempt,
    /// A merchant was made.
    CreateMerchant,
    /// A key was made.
    CreateKey,
    /// A key was replaced by another.
    RollKey,
    /// A key was ended.
    RevokeKey,
    /// A merchant's encryption key has a new generation.
    RotateTenantKey,
    /// A merchant's former encryption key was destroyed.
    DestroyTenantKey,
    /// Another root key wraps.
    RotateRoot,
    /// A root key is named by nothing any more.
    RetireRoot,
    /// A destination was registered.
    AddDestination,
    /// A destination was removed.
    RemoveDestination,
    /// A destination's secret was set.
    SetSecret,
    /// A destination's secret was removed.
    RemoveSecret,
}

impl Act {
    fn as_str(self) -> &'static str {
        match self {
            Self::Tokenise => "token.created",
            Self::Exchange => "token.exchanged",
            Self::Revoke => "token.revoked",
            Self::ReadCard => "card.read",
            Self::UpdateCard => "card.updated",
            Self::DeleteCard => "card.deleted",
            Self::ForwardSending => "forward.sending",
            Self::ForwardOutcome => "forward.outcome",
            Self::CloseAttempt => "attempt.closed",
            Self::CreateMerchant => "merchant.created",
            Self::CreateKey => "key.created",
            Self::RollKey => "key.rolled",
            Self::RevokeKey => "key.revoked",
            Self::RotateTenantKey => "tenant_key.rotated",
            Self::DestroyTenantKey => "tenant_key.destroyed",
            Self::RotateRoot => "root.rotated",
            Self::RetireRoot => "root.retired",
            Self::AddDestination => "destination.added",
            Self::RemoveDestination => "destination.removed",
            Self::SetSecret => "destination.secret_set",
            Self::RemoveSecret => "destination.secret_removed",
        }
    }
}

/// Who did it, in which request.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The merchant it was done for.
    pub merchant: String,
    /// A key's id, a field session's id, or `operator`.
    pub id: String,
    /// The request.
    pub request_id: String,
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        Self {
            merchant: caller.merchant.clone(),
            id: caller.key_id.clone(),
            request_id: caller.request_id.clone(),
        }
    }
}

/// Writes the event.
///
/// # Errors
/// The store's, and then the act must fail too.
pub fn record(
    tx: &mut Tx<'_>,
    actor: &Actor,
    act: Act,
    object: &str,
    outcome: &str,
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "insert into audit_events (id, at, kind, merchant, actor, object, outcome, request_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        params![
            vault_api::ids::new_id("evt"),
            now,
            act.as_str(),
            &actor.merchant,
            &actor.id,
            object,
            outcome,
            &actor.request_id
        ],
    )?;
    Ok(())
}
