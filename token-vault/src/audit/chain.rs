//! Chains: one per process and writer connection, so that no event waits for another connection's commit.
//!
//! A chain's head is read and advanced in the transaction of the act, and rolled back with it. Its first event names
//! the head of every other chain, so a chain that is dropped is missed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use store::{Row, Store, Tx, params};

use super::AuditKey;
use crate::Error;
use crate::crypto::length_prefixed;

/// The kind of a chain's first event.
pub const OPENED: &str = "chain.opened";

/// An event, as its MAC covers it.
pub struct Event<'a> {
    /// Its id.
    pub id: &'a str,
    /// Unix seconds.
    pub at: i64,
    /// What was done.
    pub kind: &'a str,
    /// The merchant it was done for.
    pub merchant: &'a str,
    /// Who did it.
    pub actor: &'a str,
    /// To what.
    pub object: &'a str,
    /// With what result.
    pub outcome: &'a str,
    /// In which request.
    pub request_id: &'a str,
    /// How often: refusals are counted.
    pub times: i64,
}

/// A new event's id; ids stand in the order in which they were made.
#[must_use]
pub fn event_id() -> String {
    format!("evt_{}", vault_api::ids::ordered_base62(24))
}

/// The last link of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The chain.
    pub chain: String,
    /// The number of its last event; the first is 1.
    pub seq: i64,
    /// That event's MAC; hex where it is written.
    #[serde(with = "hex_mac")]
    pub mac: [u8; 32],
}

/// What a process needs to write events: the key, its name, where its chains stand.
pub struct Ledger {
    process: String,
    key: RwLock<Arc<AuditKey>>,
    lanes: Mutex<HashMap<u32, Lane>>,
}

#[derive(Clone)]
struct Lane {
    head: Head,
    // No chain of this process was ever shorter than at its last checkpoint.
    floor: i64,
}

impl Ledger {
    /// Gives the store's transactions this process's ledger. A store has one.
    ///
    /// # Errors
    /// When it has one already.
    pub fn attach(store: &Store, key: AuditKey, process: &str) -> Result<(), Error> {
        let ledger = Self {
            process: process.to_owned(),
            key: RwLock::new(Arc::new(key)),
            lanes: Mutex::default(),
        };
        if store.set_context(ledger) {
            Ok(())
        } else {
            Err(Error::Internal("the store has an audit ledger already"))
        }
    }

    /// The ledger of a transaction's store.
    ///
    /// # Errors
    /// When there is none: then nothing that must be audited may be done.
    pub fn of<'a>(tx: &Tx<'a>) -> Result<&'a Self, Error> {
        tx.context()
            .ok_or(Error::Internal("no audit ledger is attached to the store"))
    }

    /// The ledger of a store.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_store(store: &Store) -> Result<&Self, Error> {
        store
            .context()
            .ok_or(Error::Internal("no audit ledger is attached to the store"))
    }

    /// The key that is written under.
    #[must_use]
    pub fn key(&self) -> Arc<AuditKey> {
        let key = self.key.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&key)
    }

    /// Writes under another generation from now on: each connection begins a new chain with its next event, which
    /// names where the former ones ended.
    pub fn renew(&self, key: AuditKey) {
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }

    /// This process.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.process
    }

    /// Adds an event to the chain of the transaction's connection.
    ///
    /// # Errors
    /// The store's, and then the act must fail too.
    pub fn append(&self, tx: &mut Tx<'_>, event: &Event<'_>) -> Result<(), Error> {
        let lane = tx.lane().ok_or(Error::Internal(
            "an audit event was written where one can only read",
        ))?;
        let key = self.key();
        let chain = key.chain(&self.process, lane);
        let known = self.lanes().get(&lane).cloned();
        let known = known.filter(|lane| lane.head.chain == chain);
        let floor = known.as_ref().map_or(0, |lane| lane.floor);
        if let Some(known) = known
            && let Some(head) = link(tx, &key, &known.head, event)?
        {
            self.lanes().insert(lane, Lane { head, floor });
            return Ok(());
        }
        // The first event of this connection, or the last one was rolled back.
        let head = match last(tx, &chain)? {
            Some(head) => head,
            None if floor == 0 => self.open(tx, &key, &chain, event.at)?,
            None => return Err(cut()),
        };
        if head.seq < floor {
            return Err(cut());
        }
        let head = link(tx, &key, &head, event)?.ok_or(Error::Internal(
            "an audit chain moved under its only writer",
        ))?;
        self.lanes().insert(lane, Lane { head, floor });
        Ok(())
    }

    // The opening event names every head that no other chain's opening names already.
    fn open(&self, tx: &mut Tx<'_>, key: &AuditKey, chain: &str, now: i64) -> Result<Head, Error> {
        let others = unnamed(tx)?;
        tx.execute(
            "insert into audit_chains (chain, process, opened_at) values ($1, $2, $3)",
            params![chain, &self.process, now],
        )?;
        for head in &others {
            tx.execute(
                "insert into audit_named (by_chain, chain, seq) values ($1, $2, $3)",
                params![chain, &head.chain, head.seq],
            )?;
        }
        let object = serde_json::to_string(&others)
            .map_err(|_| Error::Internal("audit heads could not be written"))?;
        let event = Event {
            id: &event_id(),
            at: now,
            kind: OPENED,
            merchant: "",
            actor: &self.process,
            object: &object,
            outcome: "opened",
            request_id: "",
            times: 1,
        };
        let nothing = Head {
            chain: chain.to_owned(),
            seq: 0,
            mac: BEFORE_THE_FIRST,
        };
        let head = next(key, &nothing, &event);
        tx.execute(
            "insert into audit_events (id, at, kind, merchant, actor, object, outcome, request_id, times, chain, seq, mac)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            params![
                event.id,
                event.at,
                event.kind,
                event.merchant,
                event.actor,
                event.object,
                event.outcome,
                event.request_id,
                event.times,
                chain,
                head.seq,
                head.mac
            ],
        )?;
        Ok(head)
    }

    /// The heads for a checkpoint: those of this process, and every other that no opening names. Own chains that are
    /// shorter than at the last checkpoint were cut.
    ///
    /// # Errors
    /// The store's.
    pub fn heads(&self, tx: &mut Tx<'_>) -> Result<Vec<Head>, Error> {
        let mut heads = unnamed(tx)?;
        let own: Vec<(u32, Lane)> = self
            .lanes()
            .iter()
            .map(|(number, lane)| (*number, lane.clone()))
            .collect();
        for (_, lane) in &own {
            if !heads.iter().any(|head| head.chain == lane.head.chain) {
                heads.extend(last(tx, &lane.head.chain)?);
            }
        }
        for (_, lane) in own {
            let now = heads.iter().find(|head| head.chain == lane.head.chain);
            if now.map_or(0, |head| head.seq) < lane.floor {
                return Err(cut());
            }
        }
        heads.sort_by(|a, b| a.chain.cmp(&b.chain));
        Ok(heads)
    }

    /// Remembers that these heads stand in a checkpoint.
    pub fn checkpointed(&self, heads: &[Head]) {
        for lane in self.lanes().values_mut() {
            if let Some(head) = heads.iter().find(|head| head.chain == lane.head.chain) {
                lane.floor = lane.floor.max(head.seq);
            }
        }
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<u32, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// The next link; none when `head` is no longer what the database holds.
fn link(
    tx: &mut Tx<'_>,
    key: &AuditKey,
    head: &Head,
    event: &Event<'_>,
) -> Result<Option<Head>, Error> {
    let next = next(key, head, event);
    let rows = tx.execute(
        "insert into audit_events (id, at, kind, merchant, actor, object, outcome, request_id, times, chain, seq, mac)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
         where exists (select 1 from audit_events where chain = $10 and seq = $13 and mac = $14)",
        params![
            event.id,
            event.at,
            event.kind,
            event.merchant,
            event.actor,
            event.object,
            event.outcome,
            event.request_id,
            event.times,
            &next.chain,
            next.seq,
            next.mac,
            head.seq,
            head.mac
        ],
    )?;
    Ok((rows == 1).then_some(next))
}

fn next(key: &AuditKey, head: &Head, event: &Event<'_>) -> Head {
    let seq = head.seq + 1;
    Head {
        chain: head.chain.clone(),
        seq,
        mac: key.mac(&link_bytes(&head.chain, seq, &head.mac, event)),
    }
}

fn cut() -> Error {
    Error::Internal(
        "the audit chain of this process was cut in the database; run: token-vault audit verify",
    )
}

/// What stands before a chain's first event.
pub const BEFORE_THE_FIRST: [u8; 32] = [0; 32];

/// What a link's MAC covers.
#[must_use]
pub fn link_bytes(chain: &str, seq: i64, before: &[u8; 32], event: &Event<'_>) -> Vec<u8> {
    length_prefixed(&[
        b"cardseal/audit-link/1",
        chain.as_bytes(),
        &seq.to_be_bytes(),
        before,
        event.id.as_bytes(),
        &event.at.to_be_bytes(),
        event.kind.as_bytes(),
        event.merchant.as_bytes(),
        event.actor.as_bytes(),
        event.object.as_bytes(),
        event.outcome.as_bytes(),
        event.request_id.as_bytes(),
        &event.times.to_be_bytes(),
    ])
}

/// The last link of a chain, if it has any.
///
/// # Errors
/// The store's.
pub fn last(tx: &mut Tx<'_>, chain: &str) -> Result<Option<Head>, Error> {
    let row = tx.first(
        "select chain, seq, mac from audit_events where chain = $1 order by seq desc limit 1",
        params![chain],
    )?;
    row.map(|row| head(&row)).transpose()
}

fn unnamed(tx: &mut Tx<'_>) -> Result<Vec<Head>, Error> {
    let rows = tx.all(
        "select e.chain, e.seq, e.mac from audit_chains c join audit_events e on e.chain = c.chain
             and e.seq = (select max(l.seq) from audit_events l where l.chain = c.chain)
         where e.seq > coalesce((select max(n.seq) from audit_named n where n.chain = c.chain), 0)
         order by e.chain",
        &[],
    )?;
    rows.iter().map(head).collect()
}

/// How many events all chains hold.
///
/// # Errors
/// The store's.
pub fn count(tx: &mut Tx<'_>) -> Result<i64, Error> {
    let row = tx.first(
        "select cast(coalesce(sum((select max(seq) from audit_events where chain = c.chain)), 0) as bigint)
         from audit_chains c",
        &[],
    )?;
    row.map_or(Ok(0), |row| Ok(row.get(0)?))
}

fn head(row: &Row) -> Result<Head, Error> {
    Ok(Head {
        chain: row.get(0)?,
        seq: row.get(1)?,
        mac: row.get(2)?,
    })
}

mod hex_mac {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(mac: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&vault_api::keys::hex(mac))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let mut mac = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(D::Error::custom("a MAC is 64 hex digits"));
        }
        for (byte, pair) in mac.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = std::str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .ok_or_else(|| D::Error::custom("a MAC is hex"))?;
        }
        Ok(mac)
    }
}
