//! A worker killed (kill -9) at each moment of a queued confirmation: nothing is lost, and nobody is charged twice.

use std::time::{Duration, Instant};

use crate::bank::Card;
use crate::world::{World, on_both_stores, pay_form};

on_both_stores!(
    killed_before_the_exchange,
    killed_before_the_send,
    killed_after_the_charge,
    killed_with_many_under_way,
    another_process_takes_it_up,
);

async fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "it does not come to that");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn charged_once(world: World, id: &str, sent: usize) {
    let paid = world.until_status(id, "succeeded").await;
    assert_eq!(paid.json["amount_received"], 1000);
    let book = (world.bank.charges(), world.bank.taken().0);
    assert_eq!(book, (1, 1000));
    assert_eq!(world.bank.book().forwards.len(), sent);
    let types = world.event_types().await;
    for kind in ["payment_intent.processing", "payment_intent.succeeded"] {
        let seen = types.iter().filter(|other| *other == kind).count();
        assert_eq!(seen, 1, "{kind}: {types:?}");
    }
    assert!(
        !types
            .iter()
            .any(|kind| kind == "payment_intent.payment_failed"),
        "{types:?}"
    );
    world.finish().await;
}

// The vault never sees the exchange: nothing but the accepted confirmation is there.
async fn killed_before_the_exchange(mut world: World) {
    world.bank.book().exchanges_lost = 1;
    let id = world
        .queue_payment(Card::Approves, &[])
        .await
        .accepted()
        .id();
    until(|| world.bank.book().exchanges_lost == 0).await;
    world.kill();
    world.run().await;
    charged_once(world, &id, 1).await;
}

// The attempt is stored and was never sent: it is sent after all, and not given up.
async fn killed_before_the_send(mut world: World) {
    world.bank.book().forwards_lost = 1;
    let id = world
        .queue_payment(Card::Approves, &[])
        .await
        .accepted()
        .id();
    until(|| world.bank.book().forwards_lost == 0).await;
    world.kill();
    // The resolver would look at the attempt now, and the killed one's lease runs two seconds more.
    world.advance_clock(8);
    world.run().await;
    charged_once(world, &id, 1).await;
}

// The bank has charged the card, and nobody here knows.
async fn killed_after_the_charge(mut world: World) {
    let id = world
        .queue_payment(Card::VaultHangs, &[])
        .await
        .accepted()
        .id();
    until(|| world.bank.charges() == 1).await;
    world.kill();
    world.run().await;
    charged_once(world, &id, 1).await;
}

// At no moment in particular, again and again.
async fn killed_with_many_under_way(mut world: World) {
    let mut ids = vec![];
    for round in 0..5 {
        for n in 0..10 {
            let token = world.token(Card::Approves);
            let key = format!("{round}-{n}");
            let form = pay_form("1000", &token);
            let answer = world.queue(Some(&key), "/v1/payment_intents", &form).await;
            ids.push(answer.accepted().id());
        }
        tokio::time::sleep(Duration::from_millis(7 * round)).await;
        world.kill();
        // Leases of the killed one are over.
        world.advance_clock(11 * (round as i64 + 1));
        world.run().await;
    }
    for id in &ids {
        world.until_status(id, "succeeded").await;
    }
    assert_eq!((world.bank.charges(), world.bank.taken().0), (50, 50_000));
    world.finish().await;
}

async fn another_process_takes_it_up(world: World) {
    if world.database.starts_with("sqlite:") {
        // One process is what an embedded store is for.
        return world.finish().await;
    }
    let mut other = world.beside().await;
    world.bank.book().exchanges_lost = 20;
    let mut ids = vec![];
    for n in 0..20 {
        let at = if n % 2 == 0 { &world } else { &other };
        ids.push(at.queue_payment(Card::Approves, &[]).await.accepted().id());
    }
    other.kill();
    world.bank.book().exchanges_lost = 0;
    for id in &ids {
        world.until_status(id, "succeeded").await;
    }
    assert_eq!((world.bank.charges(), world.bank.taken().0), (20, 20_000));
    world.finish().await;
}
