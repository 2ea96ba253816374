//! How often a card, an address or a session has paid lately. Counted and added to in one transaction that no other of
//! the same subject runs beside, so that a limit holds however many processes there are.

use sha2::{Digest as _, Sha256};
use store::{Tx, params};

use super::Facts;
use super::rules::{By, Counts, Rules, Velocity};
use crate::app::Owner;
use crate::error::Error;

const MINUTE_MS: i64 = 60_000;

/// What the velocity rules ask for, counted, this payment among it.
#[derive(Debug, Default)]
pub struct Counted(Vec<(Velocity, i64)>);

impl Facts {
    fn subject(&self, by: By) -> Option<&str> {
        match by {
            By::Card => self.card.as_deref(),
            By::Address => self.address.as_deref(),
            By::Session => Some(&self.session),
        }
    }
}

impl Counted {
    /// Counts. Nobody else counts the same subjects until the transaction has ended.
    pub fn of(tx: &mut Tx<'_>, rules: &Rules, facts: &Facts, now_ms: i64) -> Result<Self, Error> {
        let wanted: Vec<Velocity> = rules.velocities(facts).collect();
        let kinds = wanted.iter().map(|velocity| velocity.by.name());
        let subjects = wanted
            .iter()
            .filter_map(|velocity| facts.subject(velocity.by));
        alone(tx, &facts.owner, kinds.zip(subjects))?;
        let mut counted = Vec::new();
        for velocity in wanted {
            if let Some(subject) = facts.subject(velocity.by) {
                let since = now_ms - velocity.minutes * MINUTE_MS;
                let count = count(tx, facts, velocity, subject, since)?;
                counted.push((velocity, count));
            }
        }
        Ok(Self(counted))
    }

    /// Whether the payment is one too many. What nobody could count is not.
    pub fn is_over(&self, velocity: Velocity) -> bool {
        let found = self.0.iter().find(|(of, _)| *of == velocity);
        found.is_some_and(|(_, count)| *count > velocity.over)
    }

    /// How near the payment is to the nearest limit, as a score of at most `most`.
    pub fn nearness(&self, rules: &Rules, facts: &Facts, most: u8) -> u8 {
        let near = rules.velocities(facts).filter_map(|velocity| {
            let (_, count) = self.0.iter().find(|(of, _)| *of == velocity)?;
            // The payment itself is no sign of anything.
            let used = (count - 1).clamp(0, velocity.over.max(1));
            u8::try_from(used * i64::from(most) / velocity.over.max(1)).ok()
        });
        near.max().unwrap_or(0)
    }

    /// Lets the payment count from now on.
    pub fn add(
        &self,
        tx: &mut Tx<'_>,
        rules: &Rules,
        facts: &Facts,
        now_ms: i64,
    ) -> Result<(), Error> {
        for by in By::ALL {
            let asked = self.0.iter().any(|(velocity, _)| velocity.by == by);
            let Some((subject, minutes)) = facts.subject(by).zip(rules.kept_minutes(by)) else {
                continue;
            };
            if asked {
                let entry = Entry {
                    kind: by.name(),
                    subject,
                    confirmation: &facts.confirmation,
                    card: facts.card.as_deref(),
                };
                entry.insert(tx, &facts.owner, now_ms, minutes)?;
            }
        }
        Ok(())
    }
}

/// One payment, as something counts it.
pub struct Entry<'a> {
    pub kind: &'a str,
    pub subject: &'a str,
    pub confirmation: &'a str,
    pub card: Option<&'a str>,
}

impl Entry<'_> {
    /// Counts from now on, for so long. The same confirmation counts once.
    pub fn insert(
        &self,
        tx: &mut Tx<'_>,
        owner: &Owner,
        now_ms: i64,
        minutes: i64,
    ) -> Result<(), Error> {
        tx.execute(
            "insert into velocity (merchant, livemode, kind, subject, confirmation, created_ms, card, expires_ms)
             values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
            params![
                &owner.merchant,
                owner.livemode,
                self.kind,
                self.subject,
                self.confirmation,
                now_ms,
                self.card.map(str::to_owned),
                now_ms + minutes * MINUTE_MS,
            ],
        )?;
        Ok(())
    }
}

fn count(
    tx: &mut Tx<'_>,
    facts: &Facts,
    velocity: Velocity,
    subject: &str,
    since: i64,
) -> Result<i64, Error> {
    // What this payment adds is in no row yet.
    let (what, from, more) = match velocity.counts {
        Counts::Payments => ("count(*)", "", 1),
        Counts::Cards => ("count(distinct v.card)", "and v.card <> $6", 1),
        Counts::Declines => (
            "count(*)",
            "and exists (select 1 from attempts a where a.confirmation = v.confirmation and a.state = 'declined')",
            0,
        ),
    };
    let owner = &facts.owner;
    let sql = format!(
        "select cast({what} as bigint) from velocity v
         where v.merchant = $1 and v.livemode = $2 and v.kind = $3 and v.subject = $4 and v.created_ms > $5 {from}"
    );
    let mut values = params![
        &owner.merchant,
        owner.livemode,
        velocity.by.name(),
        subject,
        since
    ]
    .to_vec();
    if velocity.counts == Counts::Cards {
        values.extend_from_slice(params![facts.card.as_deref().unwrap_or_default()]);
    }
    let row = tx.first(&sql, &values)?;
    let counted: i64 = row
        .ok_or(Error::Internal("a count without a row"))?
        .get(0)?;
    Ok(counted + more)
}

/// Has the transactions that count one of these subjects run one after another. SQLite has one writer anyhow.
pub fn alone<'a>(
    tx: &mut Tx<'_>,
    owner: &Owner,
    subjects: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Error> {
    if !tx.is_postgres() {
        return Ok(());
    }
    let mut locks: Vec<i64> = subjects
        .map(|(kind, subject)| {
            let digest = Sha256::new()
                .chain_update(format!("{} {} {kind} ", owner.merchant, owner.livemode))
                .chain_update(subject)
                .finalize();
            let mut first = [0; 8];
            first.copy_from_slice(&digest[..8]);
            i64::from_be_bytes(first)
        })
        .collect();
    // Everybody takes them in the same order, so nobody waits in a circle.
    locks.sort_unstable();
    locks.dedup();
    for lock in locks {
        tx.first(
            "select cast(1 as bigint) from pg_advisory_xact_lock($1)",
            params![lock],
        )?;
    }
    Ok(())
}

/// Removes what no rule looks back to any more.
pub fn sweep(tx: &mut Tx<'_>, now_ms: i64) -> Result<(), Error> {
    tx.execute(
        "delete from velocity where expires_ms < $1",
        params![now_ms],
    )?;
    Ok(())
}
