//! Audit: a typed event in the same transaction as the act. If the event cannot be written, the act fails
//! (PCI DSS 10.2: who, what, when, which object, with what result).
//!
//! Each event is a link: its MAC, under a key that is not in the database, covers the MAC before it. Reading order:
//! this file, [`key`], [`chain`] (one per process and writer connection), [`checkpoint`] (signed heads that leave the
//! machine), [`verify`], [`refusals`] (what was refused, counted), [`list`], [`rotation`] of the key, [`command`] (`token-vault audit ..`).

pub mod chain;
pub mod checkpoint;
pub mod command;
pub mod key;
pub mod list;
pub mod refusals;
pub mod rotation;
pub mod verify;

pub use chain::Ledger;
pub use key::{AuditKey, AuditKeys};

use chain::{Event, event_id};
use store::Tx;

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
    /// A key from before rows carried a MAC was vouched for.
    AdoptKey,
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
    /// An operator was added.
    AddOperator,
    /// An operator was ended.
    EndOperator,
    /// An export was asked for.
    RequestExport,
    /// An export was approved.
    ApproveExport,
    /// An export's cards are about to be opened.
    StartExport,
    /// An export's file is whole.
    FinishExport,
    /// A key for imports was made.
    MakeImportKey,
    /// A key for imports was forgotten.
    ForgetImportKey,
    /// An import began, or ended.
    Import,
    /// A card was imported.
    ImportCard,
    /// The audit key has a new generation.
    RotateAuditKey,
    /// A merchant got its first encryption key.
    CreateTenantKey,
    /// A request was refused.
    Refused,
    /// A key or session that is not good was shown.
    LoginFailed,
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
            Self::AdoptKey => "key.adopted",
            Self::RevokeKey => "key.revoked",
            Self::RotateTenantKey => "tenant_key.rotated",
            Self::DestroyTenantKey => "tenant_key.destroyed",
            Self::RotateRoot => "root.rotated",
            Self::RetireRoot => "root.retired",
            Self::AddDestination => "destination.added",
            Self::RemoveDestination => "destination.removed",
            Self::SetSecret => "destination.secret_set",
            Self::RemoveSecret => "destination.secret_removed",
            Self::AddOperator => "operator.added",
            Self::EndOperator => "operator.ended",
            Self::RequestExport => "export.requested",
            Self::ApproveExport => "export.approved",
            Self::StartExport => "export.started",
            Self::FinishExport => "export.finished",
            Self::MakeImportKey => "import_key.created",
            Self::ForgetImportKey => "import_key.forgotten",
            Self::Import => "import",
            Self::ImportCard => "card.imported",
            Self::RotateAuditKey => "audit_key.rotated",
            Self::CreateTenantKey => "tenant_key.created",
            Self::Refused => "request.refused",
            Self::LoginFailed => "login.failed",
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
    Ledger::of(tx)?.append(
        tx,
        &Event {
            id: &event_id(),
            at: now,
            kind: act.as_str(),
            merchant: &actor.merchant,
            actor: &actor.id,
            object,
            outcome,
            request_id: &actor.request_id,
            times: 1,
        },
    )
}
