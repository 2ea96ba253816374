//! `token-vault audit verify`: reads every chain and says what does not hold.
//!
//! From the database and the key alone it finds an edited event, a deleted one, and a chain that is gone or other
//! than a later chain's opening says. A cut tail, and a chain computed anew by somebody who has the key, are found by
//! the checkpoints that left the machine.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use serde::Serialize;
use store::{Store, Tx, params};

use super::chain::{BEFORE_THE_FIRST, Head, OPENED, last, link_bytes};
use super::checkpoint::Checkpoint;
use super::command::utc;
use super::key::{AuditKey, AuditKeys, Whose};
use super::list::{COLUMNS, Written, written};
use crate::Error;

const PAGE: i64 = 2000;

/// Findings beyond this are counted, not listed.
const LISTED: usize = 200;

/// What a verification found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Chains that were read.
    pub chains: u64,
    /// Events that were read.
    pub events: u64,
    /// Chains of the other mode: their links are verified with that mode's root.
    pub chains_of_other_mode: u64,
    /// Checkpoints that were compared.
    pub checkpoints: u64,
    /// What does not hold, in words; empty when everything does.
    pub findings: Vec<String>,
    /// How many more there are.
    pub more_findings: u64,
}

impl Report {
    /// Whether everything holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, finding: String) {
        if self.findings.len() < LISTED {
            self.findings.push(finding);
        } else {
            self.more_findings += 1;
        }
    }
}

/// Verifies everything in the store, against the text of checkpoint files if there are any.
///
/// # Errors
/// The store's. What does not hold is no error, it is in the report.
pub async fn verify(store: &Store, keys: &AuditKeys, checkpoints: &str) -> Result<Report, Error> {
    let mut report = Report::default();
    let mut named = vec![];
    for chain in chains(store).await? {
        match keys.whose(&chain) {
            Whose::Ours(key) => named.extend(read_chain(store, key, &chain, &mut report).await?),
            Whose::OtherMode => report.chains_of_other_mode += 1,
            Whose::Nobodys => report.find(format!(
                "chain {chain} is under no audit key of this database: written by hand, or the key was deleted"
            )),
        }
    }
    for (by, head) in named {
        compare(
            store,
            &head,
            &mut report,
            &format!("chain {by} names it in its opening"),
        )
        .await?;
    }
    unlinked(store, &mut report).await?;
    against_checkpoints(store, keys, checkpoints, &mut report).await?;
    Ok(report)
}

// Chains that have events, and chains that are registered: one that lost all its events is in the second alone.
async fn chains(store: &Store) -> Result<Vec<String>, Error> {
    store
        .read(|tx| {
            let rows = tx.all(
                "select chain from audit_chains union select chain from audit_events where chain is not null order by 1",
                &[],
            )?;
            rows.iter().map(|row| Ok(row.get(0)?)).collect()
        })
        .await
}

struct Reading<'a> {
    chain: &'a str,
    seq: i64,
    at: i64,
    // None after a gap: what stood before the next event is not known.
    mac: Option<[u8; 32]>,
    named: Vec<(String, Head)>,
}

async fn read_chain(
    store: &Store,
    key: &AuditKey,
    chain: &str,
    report: &mut Report,
) -> Result<Vec<(String, Head)>, Error> {
    let mut reading = Reading {
        chain,
        seq: 0,
        at: 0,
        mac: Some(BEFORE_THE_FIRST),
        named: vec![],
    };
    loop {
        let (chain, after) = (chain.to_owned(), reading.seq);
        let events = store.read(move |tx| chain_page(tx, &chain, after)).await?;
        for event in &events {
            report.events += 1;
            reading.take(key, event, report);
        }
        if (events.len() as i64) < PAGE {
            break;
        }
    }
    report.chains += 1;
    if reading.seq == 0 {
        report.find(format!(
            "chain {chain} is registered and has no events: all of them were deleted"
        ));
    }
    Ok(reading.named)
}

fn chain_page(tx: &mut Tx<'_>, chain: &str, after: i64) -> Result<Vec<Written>, Error> {
    let sql = format!(
        "select {COLUMNS} from audit_events where chain = $1 and seq > $2 order by seq limit $3"
    );
    let rows = tx.all(&sql, params![chain, after, PAGE])?;
    rows.iter().map(written).collect()
}

impl Reading<'_> {
    fn take(&mut self, key: &AuditKey, event: &Written, report: &mut Report) {
        let (chain, seq) = (self.chain, event.seq.unwrap_or(0));
        if seq != self.seq + 1 {
            let mut finding = format!(
                "chain {chain}: events {} to {} were deleted",
                self.seq + 1,
                seq - 1
            );
            if self.seq > 0 {
                let _ = write!(finding, ", between {} and {}", utc(self.at), utc(event.at));
            } else {
                let _ = write!(finding, ", before {}", utc(event.at));
            }
            report.find(finding);
            self.mac = None;
        }
        let holds = match (self.mac, event.mac) {
            (Some(before), Some(mac)) => {
                key.mac(&link_bytes(chain, seq, &before, &event.event())) == mac
            }
            // After a gap the link cannot be computed; the gap has been told.
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if !holds {
            report.find(format!(
                "chain {chain}: event {seq} ({}, {}, dated {}) was edited, or this is not its audit key",
                event.id,
                event.kind,
                utc(event.at)
            ));
        } else if seq == 1 {
            self.open(event, report);
        }
        (self.seq, self.at, self.mac) = (seq, event.at, event.mac);
    }

    fn open(&mut self, event: &Written, report: &mut Report) {
        let heads = serde_json::from_str::<Vec<Head>>(&event.object);
        match heads {
            Ok(heads) if event.kind == OPENED => self
                .named
                .extend(heads.into_iter().map(|head| (self.chain.to_owned(), head))),
            _ => report.find(format!(
                "chain {}: its first event ({}) is no opening",
                self.chain, event.id
            )),
        }
    }
}

// What somebody vouches for against what is there.
async fn compare(store: &Store, head: &Head, report: &mut Report, says: &str) -> Result<(), Error> {
    let (chain, seq) = (head.chain.clone(), head.seq);
    let (mac, end) = store
        .read(move |tx| {
            let row = tx.first(
                "select mac from audit_events where chain = $1 and seq = $2",
                params![&chain, seq],
            )?;
            let mac = row.map(|row| row.get::<Option<Vec<u8>>>(0)).transpose()?;
            Ok::<_, Error>((mac, last(tx, &chain)?))
        })
        .await?;
    let Head { chain, seq, .. } = head;
    match (mac, end) {
        (Some(Some(mac)), _) if mac == head.mac => {}
        (_, None) => report.find(format!(
            "chain {chain} was dropped: {says} with {seq} events"
        )),
        (None, Some(end)) if end.seq < *seq => report.find(format!(
            "chain {chain} was cut after event {}: {says} with {seq} events",
            end.seq
        )),
        (None, Some(_)) => report.find(format!("chain {chain}: event {seq} is gone: {says}")),
        (Some(_), Some(_)) => report.find(format!(
            "chain {chain} was computed anew or edited at event {seq}: {says} with another MAC"
        )),
    }
    Ok(())
}

async fn unlinked(store: &Store, report: &mut Report) -> Result<(), Error> {
    let found = store
        .read(|tx| {
            let row = tx.first(
                "select count(*), cast(coalesce(min(at), 0) as bigint), cast(coalesce(max(at), 0) as bigint)
                 from audit_events where chain is null or seq is null or mac is null",
                &[],
            )?;
            row.map_or(Ok((0, 0, 0)), |row| Ok::<_, Error>((row.get(0)?, row.get(1)?, row.get(2)?)))
        })
        .await?;
    let (many, from, to): (i64, i64, i64) = found;
    if many > 0 {
        report.find(format!(
            "{many} events dated {} to {} belong to no chain: written by a binary older than the chains, or by hand",
            utc(from),
            utc(to)
        ));
    }
    Ok(())
}

async fn against_checkpoints(
    store: &Store,
    keys: &AuditKeys,
    text: &str,
    report: &mut Report,
) -> Result<(), Error> {
    let mut seen = HashSet::new();
    let mut numbers: BTreeMap<String, i64> = BTreeMap::new();
    for (at, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let line_number = at + 1;
        let Ok(checkpoint) = serde_json::from_str::<Checkpoint>(line) else {
            report.find(format!("checkpoint line {line_number} is malformed"));
            continue;
        };
        if !checkpoint.is_signed_by(keys) {
            report.find(format!(
                "checkpoint line {line_number} ({}, number {}) is not signed by this audit key",
                checkpoint.process, checkpoint.number
            ));
            continue;
        }
        report.checkpoints += 1;
        let number = numbers.entry(checkpoint.process.clone()).or_default();
        if checkpoint.number > *number + 1 {
            report.find(format!(
                "checkpoints {} to {} of process {} are missing before line {line_number}",
                *number + 1,
                checkpoint.number - 1,
                checkpoint.process
            ));
        }
        *number = checkpoint.number.max(*number);
        let says = format!(
            "the checkpoint of {} (line {line_number}) names it",
            utc(checkpoint.at)
        );
        for head in checkpoint.heads {
            if seen.insert((head.chain.clone(), head.seq, head.mac)) {
                compare(store, &head, report, &says).await?;
            }
        }
    }
    Ok(())
}
