//! Import: cards that another vault sealed to a key of this one. The file is read to its end, and found whole, before the
//! first card is kept; a rerun keeps none twice.

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use store::Tx;
use vault_api::tokens::CardSummary;
use zeroize::Zeroizing;

use super::archive::{self, Header, Manifest, Part, Sealed};
use super::operators::{actor, new_file};
use super::{Held, card_line};
use crate::Error;
use crate::audit::{self, Act};
use crate::crypto::envelope::{self, OpenedCard, Place};
use crate::crypto::{Key, length_prefixed};
use crate::records::operators::Operator;
use crate::records::tokens::Owner;
use crate::records::{cards, imports, keys};

/// Makes a key for others to seal to. Its private half never leaves this vault: it is kept sealed under a key of the root's.
///
/// # Errors
/// What stands in the way, for the operator.
pub async fn new_key(held: &Held, by: Operator) -> anyhow::Result<Value> {
    let (private, public) = archive::new_key();
    let id = public.fingerprint();
    let answer = json!({
        "cardseal_import_key": 1, "mode": held.mode(), "kem": "x25519",
        "public_key": vault_api::keys::hex(&public.0), "fingerprint": id,
    });
    let parts = held.clone();
    let sealed = envelope::seal(&sealing_key(held), &place(held, &id), &private[..]);
    held.store
        .write(move |tx| {
            let halves = (&public.0, &sealed[..]);
            imports::insert_key(tx, parts.root.macs(), parts.mode(), &id, halves, parts.now)?;
            audit::record(
                tx,
                &actor(&by, ""),
                Act::MakeImportKey,
                &id,
                "created",
                parts.now,
            )
        })
        .await?;
    Ok(answer)
}

/// Forgets the private half of a key: files for it open nowhere any more.
///
/// # Errors
/// What stands in the way, for the operator.
pub async fn forget_key(held: &Held, by: Operator, id: String) -> anyhow::Result<Value> {
    let (parts, answer) = (
        held.clone(),
        json!({ "fingerprint": id, "forgotten": true }),
    );
    let forgotten = held
        .store
        .write(move |tx| {
            let forgotten = imports::forget_key(tx, parts.root.macs(), parts.mode(), &id)?;
            if forgotten {
                audit::record(
                    tx,
                    &actor(&by, ""),
                    Act::ForgetImportKey,
                    &id,
                    "forgotten",
                    parts.now,
                )?;
            }
            Ok::<_, Error>(forgotten)
        })
        .await?;
    ensure!(
        forgotten,
        "there is no such import key, or it was forgotten before"
    );
    Ok(answer)
}

fn sealing_key(held: &Held) -> Key {
    held.root.derived("import-key", b"")
}

fn place(held: &Held, id: &str) -> Vec<u8> {
    length_prefixed(&[
        b"cardseal/import-key/1",
        held.mode().as_bytes(),
        id.as_bytes(),
    ])
}

/// What became of a card of a file: a line of the report.
#[derive(Serialize)]
struct Outcome {
    /// Its id at the vault it comes from.
    source: String,
    /// Its id here.
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<String>,
    /// `imported`, `already`, `deleted` (here, and not brought back) or `refused`.
    status: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Imports a file for a merchant, and writes what became of each card to `report`.
///
/// # Errors
/// What stands in the way, for the operator. What was kept until then stays, and a rerun goes on.
pub async fn run(
    held: &Held,
    by: Operator,
    file: &Path,
    merchant: String,
    report: &Path,
) -> anyhow::Result<Value> {
    let known = held.store.read(keys::merchants).await?;
    ensure!(
        known.iter().any(|(id, _)| *id == merchant),
        "there is no such merchant; see `merchants list`"
    );
    // Once through without keeping anything: a file that is not whole changes nothing.
    let (header, manifest) = look_through(held, file).await?;
    let mut lines = new_file(report)?;
    let parts = held.clone();
    let begun = (by.clone(), header.export.clone(), merchant.clone());
    held.store
        .write(move |tx| {
            let (by, export, merchant) = &begun;
            audit::record(
                tx,
                &actor(by, merchant),
                Act::Import,
                export,
                "running",
                parts.now,
            )
        })
        .await?;
    let mut counts = [
        ("imported", 0u64),
        ("already", 0),
        ("deleted", 0),
        ("refused", 0),
    ];
    let mut reader = open(held, file).await?.1;
    while let Part::Cards(plain) = reader.next()? {
        for outcome in keep(held, &by, &header, &merchant, plain).await? {
            for (status, count) in &mut counts {
                *count += u64::from(*status == outcome.status);
            }
            serde_json::to_writer(&mut lines, &outcome)?;
            lines.write_all(b"\n")?;
        }
    }
    lines.sync_all()?;
    let said = counts
        .map(|(status, count)| format!("{count} {status}"))
        .join(", ");
    let (parts, export) = (held.clone(), header.export.clone());
    let owner = merchant.clone();
    held.store
        .write(move |tx| {
            audit::record(
                tx,
                &actor(&by, &owner),
                Act::Import,
                &export,
                &said,
                parts.now,
            )
        })
        .await?;
    let mut answer = json!({
        "export": header.export, "from_merchant": header.merchant, "merchant": merchant,
        "cards": manifest.cards, "report": report,
    });
    for (status, count) in counts {
        answer[status] = count.into();
    }
    Ok(answer)
}

async fn open(
    held: &Held,
    file: &Path,
) -> anyhow::Result<(Header, archive::Reader<BufReader<File>>)> {
    let input = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let sealed = Sealed::open(BufReader::new(input))?;
    let header = sealed.header.clone();
    let (given, here) = (header.mode, held.root.mode());
    if given != here {
        bail!(
            "this is a file of {given} mode, and this vault's root is of {here} mode: test and live never share a card"
        );
    }
    let (parts, id) = (held.clone(), header.receiver.clone());
    let kept = held
        .store
        .read(move |tx| imports::key(tx, parts.root.macs(), parts.mode(), &id))
        .await?
        .with_context(|| {
            format!(
                "the file is sealed to the key {}, which is none of this vault's, or was forgotten",
                header.receiver
            )
        })?;
    let private = envelope::open(&sealing_key(held), &place(held, &header.receiver), &kept)
        .context("the import key does not open: its row was changed")?;
    let private: Key = Zeroizing::new(private.as_slice().try_into()?);
    Ok((header, sealed.unseal(&private)?))
}

async fn look_through(held: &Held, file: &Path) -> anyhow::Result<(Header, Manifest)> {
    let (header, mut reader) = open(held, file).await?;
    let mut cards = 0;
    loop {
        match reader.next()? {
            Part::Cards(plain) => cards += lines_of(&plain).count() as u64,
            Part::End(manifest) => {
                ensure!(
                    manifest.cards == cards,
                    "the file's manifest says {} cards and there are {cards}",
                    manifest.cards
                );
                return Ok((header, manifest));
            }
        }
    }
}

fn lines_of(plain: &[u8]) -> impl Iterator<Item = &[u8]> {
    plain
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
}

async fn keep(
    held: &Held,
    by: &Operator,
    header: &Header,
    merchant: &str,
    plain: Zeroizing<Vec<u8>>,
) -> anyhow::Result<Vec<Outcome>> {
    let (parts, export) = (held.clone(), header.export.clone());
    let (actor, merchant) = (actor(by, merchant), merchant.to_owned());
    let kept = held.write(move |tx| {
        let owner = Owner {
            merchant: &merchant,
            mode: parts.mode(),
        };
        let mut outcomes = vec![];
        for line in lines_of(&plain) {
            let outcome = keep_one(&parts, tx, owner, &export, line)?;
            if let Some(card) = outcome
                .card
                .as_ref()
                .filter(|_| outcome.status == "imported")
            {
                audit::record(tx, &actor, Act::ImportCard, card, &export, parts.now)?;
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    });
    Ok(kept.await?)
}

fn keep_one(
    held: &Held,
    tx: &mut Tx<'_>,
    owner: Owner<'_>,
    export: &str,
    line: &[u8],
) -> Result<Outcome, Error> {
    let macs = held.root.macs();
    let Some(arrived) = card_line::read(line, held.root.mode()) else {
        return Ok(refused(String::new(), "malformed"));
    };
    let (opened, summary) = match arrived.card {
        Ok(card) => card,
        Err(reason) => return Ok(refused(arrived.id, reason)),
    };
    let source = arrived.id;
    let before = imports::card(tx, macs, owner, &source)?;
    let id = before.clone().unwrap_or_else(|| source.clone());
    let id = match imports::holder_of(tx, &id)? {
        Some((merchant, mode, state))
            if (merchant.as_str(), mode.as_str()) == (owner.merchant, owner.mode) =>
        {
            let status = if state == "deleted" {
                "deleted"
            } else {
                "already"
            };
            return Ok(Outcome {
                source,
                card: Some(id),
                status,
                reason: None,
            });
        }
        // An id that another merchant's card has: this one gets its own.
        Some(_) => vault_api::ids::new_id("card"),
        None if before.is_some() => return Err(crate::crypto::CannotOpen.into()),
        None => id,
    };
    insert(held, tx, owner, &id, (&opened, &summary), arrived.created)?;
    imports::insert_card(tx, macs, owner, (&source, &id, export), held.now)?;
    Ok(Outcome {
        source,
        card: Some(id),
        status: "imported",
        reason: None,
    })
}

fn insert(
    held: &Held,
    tx: &mut Tx<'_>,
    owner: Owner<'_>,
    id: &str,
    (opened, summary): (&OpenedCard, &CardSummary),
    created: i64,
) -> Result<(), Error> {
    let tenant = held.tenants.active(tx, &held.root, owner.merchant)?;
    let place = Place {
        kind: "stored_card",
        record: id,
        expires_at: 0,
    };
    let sealed = tenant.seal_card(place, &opened.number, &opened.holder);
    let macs = held.root.macs();
    cards::insert(tx, macs, owner, id, "active", summary, &sealed, created).map(|_| ())
}

fn refused(source: String, reason: &'static str) -> Outcome {
    Outcome {
        source,
        card: None,
        status: "refused",
        reason: Some(reason),
    }
}
