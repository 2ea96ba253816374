//! The audit: what was done is written or not done, and every way of tampering with what was written is found. Here is what
//! the files share; each of them is named for what is attacked.

mod acts;
mod chains;
mod checkpoints;
mod events;

use token_vault::audit::checkpoint::{Checkpoint, Checkpoints};
use token_vault::audit::list::{self, Written};
use token_vault::audit::verify::{Report, verify};
use token_vault::audit::{self, Act, Actor, AuditKey, AuditKeys};

use crate::vault::{Vault, on_each_store};

pub fn key(vault: &Vault) -> AuditKey {
    AuditKey::of(&vault.app.root)
}

pub async fn keys(vault: &Vault) -> AuditKeys {
    AuditKeys::open(&vault.app.store, &vault.app.root)
        .await
        .unwrap()
}

pub async fn verified(vault: &Vault, checkpoints: &[Checkpoint]) -> Report {
    let lines: Vec<String> = checkpoints
        .iter()
        .map(|checkpoint| serde_json::to_string(checkpoint).unwrap())
        .collect();
    verify(&vault.app.store, &keys(vault).await, &lines.join("\n"))
        .await
        .unwrap()
}

pub async fn checkpoint(vault: &Vault) -> Checkpoint {
    Checkpoints::new(None)
        .unwrap()
        .make(&vault.app)
        .await
        .unwrap()
}

pub async fn events(vault: &Vault) -> Vec<Written> {
    vault
        .app
        .store
        .read(|tx| list::page(tx, None, (0, ""), 10_000))
        .await
        .unwrap()
}

pub async fn sql(vault: &Vault, sql: String) -> u64 {
    vault
        .app
        .store
        .write(move |tx| tx.execute(&sql, &[]))
        .await
        .unwrap()
}

/// Some acts, each one an event.
pub async fn work(vault: &Vault) {
    for _ in 0..4 {
        let token = vault.token("4242424242424242").await;
        vault.grant(&token, 100).await;
    }
}

/// The events of the chain that has the most.
pub async fn longest(vault: &Vault) -> Vec<Written> {
    let mut all = events(vault).await;
    let of = |chain: &Option<String>| all.iter().filter(|e| &e.chain == chain).count();
    let chain = all
        .iter()
        .map(|event| event.chain.clone())
        .max_by_key(of)
        .unwrap();
    all.retain(|event| event.chain == chain);
    all.sort_by_key(|event| event.seq);
    all
}

/// Several events in one chain, whichever connection took the acts before.
pub async fn one_long_chain(vault: &Vault) {
    let actor = Actor {
        merchant: vault.merchants[0].id.clone(),
        id: "key_x".into(),
        request_id: "req_x".into(),
    };
    vault
        .app
        .store
        .write(move |tx| {
            (0..6).try_for_each(|_| audit::record(tx, &actor, Act::ReadCard, "card_x", "read", 7))
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_audit_holds() {
    on_each_store(|vault| async move {
        work(&vault).await;
        let first = checkpoint(&vault).await;
        work(&vault).await;
        let report = verified(&vault, std::slice::from_ref(&first)).await;
        assert_eq!(report.findings, Vec::<String>::new());
        assert_eq!(report.checkpoints, 1);
        assert!(first.events >= 8 && report.events >= 2 * 8, "{report:?}");
        let alice = vault.merchants[0].id.clone();
        let all = events(&vault).await;
        for kind in ["token.created", "token.exchanged"] {
            assert_eq!(
                all.iter()
                    .filter(|e| e.kind == kind && e.merchant == alice)
                    .count(),
                8
            );
        }
    })
    .await;
}
