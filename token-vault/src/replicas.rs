//! Replicas: several vault processes on one database behave as one. Keys that live in memory only (CVV epochs, the
//! browser's sealing keys) pass from process to process through the database, sealed to the receiver's memory.
//!
//! Each process registers a public key that it replaces every minute; its private half is destroyed half a minute
//! later, so what lay in the database opens for nobody, even for that process, once it was taken in. HPKE (RFC 9180)
//! in PSK mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM: opening takes the receiver's memory and the
//! root key; sealing takes the root key, so who only has the database can neither read nor plant a key.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256 as Kem;
use hpke::{Deserializable as _, Kem as _, OpModeR, OpModeS, PskBundle, Serializable as _};
use service::listen::Stop;
use sha2::Sha256;
use store::{Row, Tx, params};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;
use vault_api::Code;
use zeroize::Zeroizing;

use crate::crypto::cvv::{self, Epochs};
use crate::crypto::root::Root;
use crate::crypto::{CannotOpen, Key, length_prefixed, sealing};
use crate::records::processes::{self, Here, Peer};
use crate::{App, Error};

/// How often a process looks at what the others left for it.
const ROUND: Duration = Duration::from_secs(1);

/// A process's key is replaced after this.
const KEY_LIFE: Duration = Duration::from_secs(60);

/// What was sealed to it before can be opened for this much longer.
const KEY_GRACE: Duration = Duration::from_secs(30);

/// A key is not handed over shortly before its end: nothing sealed to a process outlives what it carries.
const MARGIN: i64 = 120;

const INFO: &[u8] = b"cardseal/replica/1";

/// This process among the others.
pub struct Replicas {
    here: Here,
    pairs: Mutex<Vec<Pair>>,
    peers: AtomicUsize,
    rounds: watch::Sender<u64>,
}

struct Pair {
    made: Instant,
    private: <Kem as hpke::Kem>::PrivateKey,
    public: Vec<u8>,
}

/// A key as it is handed over.
struct Parcel {
    kind: &'static str,
    id: String,
    starts: i64,
    expires_at: i64,
    secret: Zeroizing<Vec<u8>>,
}

impl Replicas {
    /// This process.
    #[must_use]
    pub fn new(process: &str) -> Self {
        Self {
            here: Here::new(process),
            pairs: Mutex::default(),
            peers: AtomicUsize::new(0),
            rounds: watch::channel(0).0,
        }
    }

    /// This process, as the registry knows it.
    #[must_use]
    pub fn here(&self) -> &Here {
        &self.here
    }

    // The public key to be sealed to now; old ones are destroyed.
    fn public_key(&self) -> Vec<u8> {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.retain(|pair| pair.made.elapsed() < KEY_LIFE + KEY_GRACE);
        if pairs
            .last()
            .is_none_or(|pair| pair.made.elapsed() >= KEY_LIFE)
        {
            let (private, public) = Kem::gen_keypair();
            pairs.push(Pair {
                made: Instant::now(),
                private,
                public: public.to_bytes().to_vec(),
            });
        }
        pairs
            .last()
            .map(|pair| pair.public.clone())
            .unwrap_or_default()
    }

    fn opened(
        &self,
        root: &Root,
        enc: &[u8],
        sealed: &[u8],
        aad: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        let psk = root.derived("replica", b"");
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(enc).map_err(|_| CannotOpen)?;
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.retain(|pair| pair.made.elapsed() < KEY_LIFE + KEY_GRACE);
        pairs
            .iter()
            .find_map(|pair| {
                let psk = PskBundle::new(&psk[..], INFO).ok()?;
                let mut context = hpke::setup_receiver::<AesGcm256, HkdfSha256, Kem>(
                    &OpModeR::Psk(psk),
                    &pair.private,
                    &enc,
                    INFO,
                )
                .ok()?;
                context.open(sealed, aad).ok().map(Zeroizing::new)
            })
            .ok_or(CannotOpen)
    }
}

fn sealed_to(root: &Root, public: &[u8], aad: &[u8], secret: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let psk = root.derived("replica", b"");
    let psk = PskBundle::new(&psk[..], INFO).ok()?;
    let public = <Kem as hpke::Kem>::PublicKey::from_bytes(public).ok()?;
    let (enc, mut context) =
        hpke::setup_sender::<AesGcm256, HkdfSha256, Kem>(&OpModeS::Psk(psk), &public, INFO).ok()?;
    Some((enc.to_bytes().to_vec(), context.seal(secret, aad).ok()?))
}

// Where a parcel belongs: it opens nowhere else.
fn aad(root: &Root, kind: &str, id: &str, to: &str, starts: i64) -> Vec<u8> {
    length_prefixed(&[
        INFO,
        root.mode().as_str().as_bytes(),
        kind.as_bytes(),
        id.as_bytes(),
        to.as_bytes(),
        &starts.to_be_bytes(),
    ])
}

// Only who has the root key can register a process.
fn registration(root: &Root, id: &str, public: &[u8]) -> Vec<u8> {
    let key: Key = root.derived("replica-registration", b"");
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(&key[..]).expect("a key");
    mac.update(&length_prefixed(&[id.as_bytes(), public]));
    mac.finalize().into_bytes().to_vec()
}

/// One round: say that this process lives, take in what others left for it, leave them what they lack.
///
/// # Errors
/// The store's.
pub async fn round(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    app.epochs.prepare(now);
    app.sealing.prepare(now);
    register(app).await?;
    let (peers, inbox, left) = look(app).await?;
    app.replicas.peers.store(peers.len(), Ordering::Relaxed);
    let mut refused = vec![];
    for row in &inbox {
        if !take_in(app, row, now)? {
            refused.push((row.get::<String>(0)?, row.get::<String>(1)?));
        }
    }
    leave(app, &peers, &left, refused, now).await?;
    app.replicas.rounds.send_modify(|rounds| *rounds += 1);
    Ok(())
}

async fn register(app: &App) -> Result<(), Error> {
    let (public, now) = (app.replicas.public_key(), app.clock.now());
    let id = app.replicas.here.id.clone();
    let published = app
        .store
        .read(move |tx| processes::published(tx, &id))
        .await?;
    if published.as_ref() == Some(&public) {
        return Ok(());
    }
    let here = app.replicas.here.clone();
    let mac = registration(&app.root, &here.id, &public);
    app.store
        .write(move |tx| {
            if !processes::publish(tx, &here.id, &public, &mac)? {
                processes::beat(tx, &here)?;
                processes::publish(tx, &here.id, &public, &mac)?;
            }
            tx.execute(
                "delete from shared_keys where expires_at <= $1",
                params![now],
            )?;
            Ok::<_, Error>(())
        })
        .await
}

type Left = Vec<(String, String, String)>;

async fn look(app: &App) -> Result<(Vec<Peer>, Vec<Row>, Left), Error> {
    let here = app.replicas.here.clone();
    let (mut peers, inbox, left) = app
        .store
        .read(move |tx| {
            let peers = processes::peers(tx, &here)?;
            let inbox = tx.all(
                &format!("{INBOX} where for_process = $1"),
                params![&here.id],
            )?;
            let left = tx.all("select kind, id, for_process from shared_keys", &[])?;
            let left = left
                .iter()
                .map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            Ok::<_, Error>((peers, inbox, left.collect::<Result<Left, store::Error>>()?))
        })
        .await?;
    peers.retain(|peer| {
        let known =
            bool::from(registration(&app.root, &peer.id, &peer.public_key).ct_eq(&peer.mac));
        if !known {
            tracing::error!(
                process = peer.id,
                "a process is registered that does not have this root key; it gets no keys"
            );
        }
        known
    });
    Ok((peers, inbox, left))
}

const INBOX: &str = "select kind, id, starts, enc, sealed, for_process from shared_keys";

// Whether the key is known now; false when it was sealed to a key that is gone.
fn take_in(app: &App, row: &Row, now: i64) -> Result<bool, Error> {
    let (kind, id, starts): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let known = match kind.as_str() {
        "epoch" => app.epochs.knows(&id),
        _ => app.sealing.knows(&id),
    };
    if known {
        return Ok(true);
    }
    let aad = aad(&app.root, &kind, &id, &row.get::<String>(5)?, starts);
    let (enc, sealed): (Vec<u8>, Vec<u8>) = (row.get(3)?, row.get(4)?);
    let Ok(secret) = app.replicas.opened(&app.root, &enc, &sealed, &aad) else {
        return Ok(false);
    };
    if kind == "epoch" {
        let key: [u8; 32] = secret.as_slice().try_into().map_err(|_| CannotOpen)?;
        let key = Zeroizing::new(key);
        app.epochs.learn(
            &cvv::Shared {
                id,
                epoch: starts,
                key,
            },
            now,
        );
    } else {
        let shared = sealing::Shared {
            number: id,
            made_at: starts,
            secret,
        };
        app.sealing.learn(&shared, now);
    }
    Ok(true)
}

fn parcels(app: &App, now: i64) -> Vec<Parcel> {
    let epochs = app
        .epochs
        .shared(now, MARGIN)
        .into_iter()
        .map(|shared| Parcel {
            kind: "epoch",
            id: shared.id,
            starts: shared.epoch,
            expires_at: shared.epoch * cvv::EPOCH + cvv::LIFE,
            secret: Zeroizing::new(shared.key.to_vec()),
        });
    let sealing = app
        .sealing
        .shared(now, MARGIN)
        .into_iter()
        .map(|shared| Parcel {
            kind: "sealing",
            expires_at: shared.expires_at(),
            id: shared.number,
            starts: shared.made_at,
            secret: shared.secret,
        });
    epochs.chain(sealing).collect()
}

async fn leave(
    app: &App,
    peers: &[Peer],
    left: &Left,
    refused: Vec<(String, String)>,
    now: i64,
) -> Result<(), Error> {
    let mut rows = vec![];
    for parcel in if peers.is_empty() {
        vec![]
    } else {
        parcels(app, now)
    } {
        for peer in peers {
            let there = |(kind, id, to): &(String, String, String)| {
                kind == parcel.kind && *id == parcel.id && *to == peer.id
            };
            let its_own = parcel.kind == "epoch" && Epochs::process_of(&parcel.id) == peer.id;
            if its_own || left.iter().any(there) {
                continue;
            }
            let aad = aad(&app.root, parcel.kind, &parcel.id, &peer.id, parcel.starts);
            let sealed = sealed_to(&app.root, &peer.public_key, &aad, &parcel.secret);
            let (enc, sealed) = sealed.ok_or(Error::Internal("a key could not be handed over"))?;
            rows.push((
                parcel.kind,
                parcel.id.clone(),
                peer.id.clone(),
                parcel.starts,
                parcel.expires_at,
                enc,
                sealed,
            ));
        }
    }
    if rows.is_empty() && refused.is_empty() {
        return Ok(());
    }
    let process = app.replicas.here.id.clone();
    app.store
        .write(move |tx| {
            for (kind, id) in &refused {
                tx.execute(
                    "delete from shared_keys where kind = $1 and id = $2 and for_process = $3",
                    params![kind, id, &process],
                )?;
            }
            for (kind, id, to, starts, expires_at, enc, sealed) in &rows {
                tx.execute(
                    "insert into shared_keys (kind, id, for_process, from_process, starts, expires_at, enc, sealed)
                     values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
                    params![*kind, id, to, &process, *starts, *expires_at, enc, sealed],
                )?;
            }
            Ok::<_, Error>(())
        })
        .await
}

/// Sees to it that this process has the key of a CVV, inside the transaction that needs it.
///
/// # Errors
/// The store's; `unavailable` while the process that has the key lives and has not handed it over yet.
pub fn fetch(app: &App, tx: &mut Tx<'_>, key: &str, now: i64) -> Result<(), Error> {
    if key.is_empty() || app.epochs.knows(key) {
        return Ok(());
    }
    let here = &app.replicas.here;
    let sql = format!("{INBOX} where kind = 'epoch' and id = $1 and for_process = $2");
    if let Some(row) = tx.first(&sql, params![key, &here.id])? {
        take_in(app, &row, now)?;
    }
    let owner = Epochs::process_of(key);
    if app.epochs.knows(key) || owner == here.id {
        return Ok(());
    }
    let over = key
        .rsplit('.')
        .next()
        .and_then(|epoch| epoch.parse::<i64>().ok())
        .is_none_or(|epoch| epoch * cvv::EPOCH + cvv::LIFE <= now + MARGIN);
    if !over && processes::is_alive(tx, owner, here)? {
        return Err(Code::Unavailable.into());
    }
    Ok(())
}

/// Waits until this process has looked twice, if there are others: then it has what they left.
pub async fn wait(app: &App) {
    if app.replicas.peers.load(Ordering::Relaxed) == 0 {
        return;
    }
    let mut rounds = app.replicas.rounds.subscribe();
    let enough = *rounds.borrow() + 2;
    // None in time: go on without.
    let _ = tokio::time::timeout(3 * ROUND, rounds.wait_for(|rounds| *rounds >= enough)).await;
}

/// Before the first request: registers, and waits for the others' keys, a few seconds at most.
///
/// # Errors
/// The store's.
pub async fn join(app: &App) -> Result<(), Error> {
    round(app).await?;
    let started = Instant::now();
    while started.elapsed() < 3 * ROUND {
        let (peers, inbox, _) = look(app).await?;
        if peers.is_empty() || !inbox.is_empty() {
            break;
        }
        tokio::time::sleep(ROUND / 5).await;
    }
    round(app).await
}

/// Rounds until `stop`; then the others need not wait for this process any more.
pub async fn run(app: App, stop: Stop) {
    let mut ticks = tokio::time::interval(ROUND);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! { _ = ticks.tick() => {}, () = stop.wait() => return }
        if let Err(error) = round(&app).await {
            tracing::error!(%error, "keys could not be exchanged with the other processes");
        }
    }
}

/// After the last request: nobody need hand this process anything, or wait for it, any more.
///
/// # Errors
/// The store's.
pub async fn part(app: &App) -> Result<(), Error> {
    let here = app.replicas.here.clone();
    app.store
        .write(move |tx| {
            let sql = "delete from shared_keys where for_process = $1";
            tx.execute(sql, params![&here.id])?;
            processes::leave(tx, &here)
        })
        .await
}
