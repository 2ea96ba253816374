//! Export: one operator asks, another approves, either runs it once.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::{Tx, params};
use vault_api::keys::hex;
use zeroize::Zeroizing;

use super::archive::{Header, PublicKey, Writer};
use super::operators::{actor, new_file};
use super::{Held, card_line};
use crate::Error;
use crate::audit::{self, Act};
use crate::crypto::CannotOpen;
use crate::crypto::envelope::Place;
use crate::records::exports::{self, Export};
use crate::records::operators::Operator;
use crate::records::tokens::Owner;
use crate::records::{cards, keys};

/// Cards in a chunk.
const PAGE: i64 = 100;

/// Asks for an export of a merchant's active cards to the holder of a key.
///
/// # Errors
/// What stands in the way, for the operator.
pub async fn request(
    held: &Held,
    by: Operator,
    merchant: String,
    receiver: PublicKey,
    valid: i64,
) -> anyhow::Result<Value> {
    let parts = held.clone();
    let (id, expires_at) = (vault_api::ids::new_id("exp"), held.now + valid);
    let fingerprint = receiver.fingerprint();
    let asked = (id.clone(), merchant.clone());
    let cards = held
        .store
        .write(move |tx| {
            let (id, merchant) = &asked;
            let owner = Owner {
                merchant,
                mode: parts.mode(),
            };
            let known = keys::merchants(tx)?;
            if !known.iter().any(|(known, _)| known == merchant) {
                return Ok(None);
            }
            let (cards, now) = (count(tx, owner, parts.now)?, parts.now);
            let (what, when) = ((&receiver.0, cards), (now, expires_at));
            if !exports::insert(tx, parts.root.macs(), owner, id, what, &by.id, when)? {
                return Err(Error::Internal("an export's new id is taken"));
            }
            audit::record(
                tx,
                &actor(&by, merchant),
                Act::RequestExport,
                id,
                "requested",
                now,
            )?;
            Ok::<_, Error>(Some(cards))
        })
        .await?
        .context("there is no such merchant; see `merchants list`")?;
    Ok(json!({
        "id": id, "merchant": merchant, "mode": held.mode(), "cards": cards,
        "receiver_fingerprint": fingerprint, "expires_at": expires_at,
        "next": "another operator compares the fingerprint with the receiver and runs: token-vault export approve",
    }))
}

/// Approves what another operator asked for.
///
/// # Errors
/// What stands in the way, for the operator.
pub async fn approve(
    held: &Held,
    by: Operator,
    id: String,
    fingerprint: &str,
) -> anyhow::Result<Value> {
    let (parts, stated) = (held.clone(), fingerprint.to_ascii_lowercase());
    let done = held
        .store
        .write(move |tx| {
            let macs = parts.root.macs();
            let Some(mut export) = exports::find(tx, macs, parts.mode(), &id)? else {
                return Ok(Err("there is no such export; see `export list`"));
            };
            if let Err(why) = export.is_open(parts.now, "requested") {
                return Ok(Err(why));
            }
            if export.requested_by == by.id {
                return Ok(Err("whoever asked for an export cannot approve it: another operator must"));
            }
            if key_of(&export)?.fingerprint() != stated {
                return Ok(Err("this is not the receiver's fingerprint: the export goes to another key; ask the receiver again, and do not approve"));
            }
            if !export.approve(tx, macs, &by.id, parts.now)? {
                return Ok(Err("the export changed meanwhile; see `export list`"));
            }
            let actor = actor(&by, &export.merchant);
            audit::record(tx, &actor, Act::ApproveExport, &id, "approved", parts.now)?;
            Ok::<_, Error>(Ok(json!({
                "id": id, "merchant": export.merchant, "cards": export.cards, "approved_by": by.id,
                "expires_at": export.expires_at,
            })))
        })
        .await?;
    done.map_err(anyhow::Error::msg)
}

impl Export {
    // Whether its next step may be taken.
    fn is_open(&self, now: i64, state: &str) -> Result<(), &'static str> {
        match self.state.as_str() {
            _ if self.expires_at <= now => Err("the export has expired; ask for a new one"),
            here if here == state => Ok(()),
            "requested" => {
                Err("the export is not approved: another operator must approve it first")
            }
            "approved" => Err("the export is approved already; run it"),
            _ => Err("the export was run: an approval is good for one file; ask for a new one"),
        }
    }
}

fn key_of(export: &Export) -> Result<PublicKey, Error> {
    let key: [u8; 32] = export
        .receiver
        .as_slice()
        .try_into()
        .map_err(|_| CannotOpen)?;
    Ok(PublicKey(key))
}

/// Runs an approved export: its file, once.
///
/// # Errors
/// What stands in the way, for the operator. A file that was begun is removed.
pub async fn run(held: &Held, by: Operator, id: String, out: &Path) -> anyhow::Result<Value> {
    ensure!(!out.exists(), "{} is there already", out.display());
    // The file must be possible before the approval is used up.
    let part = PathBuf::from(format!("{}.part", out.display()));
    let file = new_file(&part)?;
    let written = write_file(held, &by, &id, file).await;
    let answer = match written {
        Ok(answer) => answer,
        Err(error) => {
            let _ = std::fs::remove_file(&part);
            return Err(error);
        }
    };
    std::fs::rename(&part, out)
        .with_context(|| format!("the export is whole, in {}; rename it", part.display()))?;
    Ok(answer)
}

async fn write_file(held: &Held, by: &Operator, id: &str, file: File) -> anyhow::Result<Value> {
    let export = start(held, by.clone(), id.to_owned()).await?;
    let receiver = key_of(&export)?;
    let header = Header {
        export: export.id.clone(),
        mode: held.root.mode(),
        merchant: export.merchant.clone(),
        receiver: receiver.fingerprint(),
        created: held.now,
    };
    let out = Hashing {
        out: BufWriter::new(file),
        hash: Sha256::new(),
    };
    let mut writer = Writer::new(out, &header, &receiver)?;
    let (mut after, mut cards) = (String::new(), 0);
    loop {
        let page = page(held, &export, after).await?;
        cards += page.cards;
        ensure!(
            cards as i64 <= export.cards,
            "there are more cards than the {} that were approved; ask for a new export",
            export.cards
        );
        if page.cards > 0 {
            writer.cards(&page.lines, page.cards)?;
        }
        match page.last {
            Some(last) => after = last,
            None => break,
        }
    }
    let (out, manifest) = writer.end()?;
    let sha256 = hex(&out.hash.finalize());
    out.out.into_inner()?.sync_all()?;
    finish(
        held,
        by.clone(),
        id.to_owned(),
        (manifest.cards as i64, sha256.clone()),
    )
    .await?;
    Ok(json!({
        "id": export.id, "cards": manifest.cards, "chunks": manifest.chunks, "sha256": sha256,
        "receiver_fingerprint": receiver.fingerprint(),
    }))
}

// The approval is used up before the first card is opened.
async fn start(held: &Held, by: Operator, id: String) -> anyhow::Result<Export> {
    let parts = held.clone();
    let started = held
        .store
        .write(move |tx| {
            let macs = parts.root.macs();
            let Some(mut export) = exports::find(tx, macs, parts.mode(), &id)? else {
                return Ok(Err("there is no such export; see `export list`"));
            };
            if let Err(why) = export.is_open(parts.now, "approved") {
                return Ok(Err(why));
            }
            if export.approved_by.is_none()
                || export.approved_by.as_ref() == Some(&export.requested_by)
            {
                return Ok(Err("the export was not approved by another operator"));
            }
            if !export.start(tx, macs, &by.id)? {
                return Ok(Err("the export changed meanwhile; see `export list`"));
            }
            let actor = actor(&by, &export.merchant);
            audit::record(tx, &actor, Act::StartExport, &id, "running", parts.now)?;
            Ok::<_, Error>(Ok(export))
        })
        .await?;
    started.map_err(anyhow::Error::msg)
}

async fn finish(
    held: &Held,
    by: Operator,
    id: String,
    (cards, sha256): (i64, String),
) -> anyhow::Result<()> {
    let parts = held.clone();
    let finished = held
        .store
        .write(move |tx| {
            let macs = parts.root.macs();
            let Some(mut export) = exports::find(tx, macs, parts.mode(), &id)? else {
                return Ok(false);
            };
            let finished = export.finish(tx, macs, (cards, &sha256), parts.now)?;
            let outcome = format!("{cards} cards, sha256 {sha256}");
            let actor = actor(&by, &export.merchant);
            audit::record(tx, &actor, Act::FinishExport, &id, &outcome, parts.now)?;
            Ok::<_, Error>(finished)
        })
        .await?;
    if !finished {
        bail!("the export's row is gone or changed: nothing was exported");
    }
    Ok(())
}

struct Page {
    lines: Zeroizing<Vec<u8>>,
    cards: usize,
    last: Option<String>,
}

async fn page(held: &Held, export: &Export, after: String) -> anyhow::Result<Page> {
    let (parts, merchant) = (held.clone(), export.merchant.clone());
    let until = export.requested_at;
    let page = held
        .write(move |tx| {
            let owner = Owner {
                merchant: &merchant,
                mode: parts.mode(),
            };
            let macs = parts.root.macs();
            let rows = cards::page_by_id(tx, macs, owner, until, &after, PAGE)?;
            // Room for all, so that no buffer is outgrown and left behind.
            let mut page = Page {
                lines: Zeroizing::new(Vec::with_capacity(rows.len() * card_line::LONGEST)),
                cards: rows.len(),
                last: None,
            };
            for (stored, sealed) in &rows {
                let place = Place {
                    kind: "stored_card",
                    record: &stored.id,
                    expires_at: 0,
                };
                let opened = parts
                    .tenants
                    .by_id(&sealed.key_id)?
                    .open_card(place, sealed)?;
                card_line::write(&mut page.lines, stored, &opened)
                    .map_err(|_| Error::Internal("a card could not be written"))?;
                page.last = Some(stored.id.clone());
            }
            Ok(page)
        })
        .await;
    page.context(
        "a card does not open or its row was changed: nothing was exported; see `audit verify` and ask for a new export",
    )
}

fn count(tx: &mut Tx<'_>, owner: Owner<'_>, now: i64) -> Result<i64, Error> {
    let sql = "select count(*) from stored_cards
         where merchant = $1 and mode = $2 and state = 'active' and created_at <= $3";
    let row = tx.first(sql, params![owner.merchant, owner.mode, now])?;
    Ok(row.map_or(Ok(0), |row| row.get(0))?)
}

/// All exports, for people.
///
/// # Errors
/// The store's.
pub async fn list(held: &Held) -> anyhow::Result<Value> {
    let parts = held.clone();
    let all = held
        .store
        .read(move |tx| exports::all(tx, parts.root.macs(), parts.mode()))
        .await?;
    let all = all.into_iter().map(|export| {
        Ok::<_, Error>(json!({
            "id": export.id, "merchant": export.merchant, "state": export.state, "cards": export.cards,
            "receiver_fingerprint": key_of(&export)?.fingerprint(), "requested_by": export.requested_by,
            "requested_at": export.requested_at, "approved_by": export.approved_by, "expires_at": export.expires_at,
        }))
    });
    Ok(all.collect::<Result<_, _>>()?)
}

/// Hashes what it writes.
struct Hashing<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
