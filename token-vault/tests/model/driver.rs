//! Many clients at once against the real program, killed and started again under them, its clock moved.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::database::Fresh;
use harness::vault::{Installation, Process};

use crate::acquirer::{Acquirer, destinations};
use crate::chance::Chance;
use crate::history::{Body, Event, Op};
use crate::world::World;

/// Attempts that a dead process left open are closed by another within this.
const SETTLED: Duration = Duration::from_secs(40);

/// A run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    pub time: Duration,
    pub clients: u64,
    pub vaults: usize,
}

/// What a run saw.
pub struct Run {
    pub history: Vec<Event>,
    pub sent: HashMap<String, u64>,
    pub kills: usize,
}

/// Runs a plan on a database.
pub async fn run(database: &Fresh, plan: Plan) -> Run {
    let folder = std::env::temp_dir().join(vault_api::ids::new_id("cardseal-model"));
    let (acquirer, address) = Acquirer::start().await;
    let program = harness::programs::built("token-vault").unwrap();
    let location = &database.location;
    let installation =
        Installation::new(program, location, &folder, &destinations(address)).unwrap();
    let merchants = ["Alice", "Mallory"].map(|name| installation.merchant(name).unwrap());
    let mut vaults = vec![];
    for _ in 0..plan.vaults {
        vaults.push(installation.start().await.unwrap());
    }
    let urls = vaults.iter().map(Process::private).collect();
    let world = Arc::new(World::new(urls, merchants.to_vec()));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..plan.clients)
        .map(|number| {
            let client = Client {
                world: world.clone(),
                chance: Chance::new(plan.seed, number),
                number,
                made: 0,
            };
            tokio::spawn(client.go(stop.clone()))
        })
        .collect();
    let kills = nemesis(&installation, &world, &mut vaults, plan).await;
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    settle(&world).await;
    drop(vaults);
    // What was killed in the middle left no link that does not hold.
    installation.verify_audit().unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    Run {
        history: world.history(),
        sent: acquirer.sent(),
        kills,
    }
}

// Kills, restarts and moves the clock until the time is over.
async fn nemesis(
    installation: &Installation,
    world: &World,
    vaults: &mut [Process],
    plan: Plan,
) -> usize {
    let mut chance = Chance::new(plan.seed, u64::MAX);
    let (until, mut offset, mut kills) = (Instant::now() + plan.time, 0, 0);
    while Instant::now() < until {
        let pause = Duration::from_millis(300 + chance.below(900) as u64);
        tokio::time::sleep(pause).await;
        if chance.one_in(4) {
            // Some tokens end at once, some in the middle of what comes.
            offset += [60, 300, 910][chance.below(3)];
            world.clock_moves(offset);
            installation.set_clock(offset).unwrap();
        } else {
            let victim = chance.below(vaults.len());
            vaults[victim].kill().unwrap();
            kills += 1;
            tokio::time::sleep(Duration::from_millis(chance.below(150) as u64)).await;
            vaults[victim].start().await.unwrap();
        }
    }
    kills
}

struct Client {
    world: Arc<World>,
    chance: Chance,
    number: u64,
    made: u64,
}

impl Client {
    async fn go(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::SeqCst) {
            let (merchant, op) = self.choose();
            // Now and then somebody else's credentials.
            let merchant = if self.chance.one_in(12) && op != Op::Create {
                1 - merchant
            } else {
                merchant
            };
            let vault = self.chance.below(self.world.vaults.len());
            if self.world.call(vault, merchant, op).await.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    fn choose(&mut self) -> (usize, Op) {
        let world = self.world.clone();
        let seen = world.seen.lock().unwrap();
        let token = self.chance.recent(&seen.tokens);
        let card = self.chance.recent(&seen.cards);
        let grant = self.chance.recent(&seen.grants);
        let attempt = self.chance.recent(&seen.attempts);
        let choice = match self.chance.below(100) {
            0..=14 => None,
            15..=49 => token.map(|(token, owner)| (owner, self.exchange(token))),
            50..=54 => token.map(|(token, owner)| (owner, Op::Revoke { token })),
            55..=62 => token.map(|(token, owner)| (owner, Op::Lookup { token })),
            63..=72 => card.map(|(card, owner)| {
                let fresh = token.filter(|(_, of)| *of == owner && self.chance.one_in(3));
                (
                    owner,
                    self.exchange_card(&card, fresh.map(|(token, _)| token)),
                )
            }),
            73..=76 => card.map(|(card, owner)| (owner, Op::ReadCard { card })),
            77..=78 => card.map(|(card, owner)| (owner, Op::DeleteCard { card })),
            79..=90 => grant.map(|(grant, owner, amount)| (owner, self.forward(grant, amount))),
            91..=95 => attempt.map(|(op, owner)| (owner, op)),
            _ => attempt.and_then(|(op, owner)| Some((owner, close(&op)?))),
        };
        choice.unwrap_or_else(|| (self.chance.below(2), Op::Create))
    }

    fn exchange(&mut self, source: String) -> Op {
        let storage = self.chance.one_in(5);
        let body = Body {
            storage,
            amount: if storage { 0 } else { 100 },
            save: !storage && self.chance.one_in(4),
            cvc_token: None,
        };
        let key = format!("k{}", self.chance.below(3));
        Op::Exchange { source, key, body }
    }

    // The keys of a stored card's exchanges are the merchant's, so they name the card.
    fn exchange_card(&mut self, card: &str, cvc_token: Option<String>) -> Op {
        let body = Body {
            storage: false,
            amount: [100, 200][self.chance.below(2)],
            save: false,
            cvc_token,
        };
        let key = format!("{card}-{}", self.chance.below(6));
        Op::Exchange {
            source: card.to_owned(),
            key,
            body,
        }
    }

    fn forward(&mut self, grant: String, amount: i64) -> Op {
        self.made += 1;
        Op::Forward {
            grant,
            attempt: format!("att_{}_{}", self.number, self.made),
            amount,
        }
    }
}

fn close(op: &Op) -> Option<Op> {
    match op {
        Op::Forward { attempt, .. } => Some(Op::Close {
            attempt: attempt.clone(),
        }),
        _ => None,
    }
}

// Asks about everything once more: what was acknowledged must still be so, and what was unknown becomes known.
async fn settle(world: &Arc<World>) {
    let mut asks: Vec<(usize, Op)> = vec![];
    {
        let seen = world.seen.lock().unwrap();
        let tokens = seen.tokens.iter().cloned();
        asks.extend(tokens.map(|(token, owner)| (owner, Op::Lookup { token })));
        let cards = seen.cards.iter().cloned();
        asks.extend(cards.map(|(card, owner)| (owner, Op::ReadCard { card })));
        let attempts = seen.attempts.iter();
        asks.extend(attempts.filter_map(|(op, owner)| Some((*owner, close(op)?))));
    }
    for event in world.history() {
        let exchange = matches!(event.op, Op::Exchange { .. }) && event.maybe();
        if exchange && !asks.iter().any(|(_, op)| *op == event.op) {
            asks.push((event.merchant, event.op));
        }
    }
    let until = Instant::now() + SETTLED;
    let mut tasks = tokio::task::JoinSet::new();
    for (number, chunk) in asks.chunks(asks.len().div_ceil(8).max(1)).enumerate() {
        let (world, chunk) = (world.clone(), chunk.to_vec());
        tasks.spawn(async move {
            for (merchant, op) in chunk {
                ask(&world, number % world.vaults.len(), merchant, op, until).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

// Until there is an answer; an attempt that a dead process left open has none for a while.
async fn ask(world: &World, vault: usize, merchant: usize, op: Op, until: Instant) {
    loop {
        let event = world.call(vault, merchant, op.clone()).await;
        let answered = event.as_ref().is_some_and(|event| {
            let waits = matches!(op, Op::Close { .. }) && event.status() == Some(409);
            event.status().is_some() && !waits
        });
        if answered {
            return;
        }
        assert!(Instant::now() < until, "no answer to {op:?}: {event:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
