//! An authorisation that nobody captured: released when the acquirer says that it has expired, and not before.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::bank::Card;
use crate::world::{World, on_both_stores};

on_both_stores!(
    an_expired_authorisation_cancels_the_intent,
    what_was_captured_or_voided_is_not_asked_for,
);

const DAY: i64 = 24 * 60 * 60;

impl World {
    // Moves the clock to when the acquirer is asked next, and waits until it was.
    async fn asked_again(&self) {
        let until = Instant::now() + Duration::from_secs(25);
        let sql = "select id, expiry_check_at from charges where expiry_check_at is not null";
        let due = loop {
            // A question that is under way is leased for half a minute; its answer puts the next one off for longer.
            let waiting = self.rows(sql).await;
            let (_, at) = waiting.first().expect("an authorisation").clone();
            if at > self.now() + 60 {
                break at;
            }
            assert!(Instant::now() < until, "it is not put off");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let before = self.bank.book().inquiries;
        self.advance_clock(self.ahead() + due - self.now() + 1);
        let until = Instant::now() + Duration::from_secs(25);
        while self.bank.book().inquiries == before {
            assert!(Instant::now() < until, "the acquirer is not asked");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    // Seconds that the program's clock is ahead of the system's.
    fn ahead(&self) -> i64 {
        let text = std::fs::read_to_string(self.file("clock")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.expect("after 1970").as_secs() as i64 + self.ahead()
    }

    async fn status(&self, id: &str) -> String {
        let intent = self.get(&format!("/v1/payment_intents/{id}")).await.ok();
        intent.json["status"].as_str().expect("a status").to_owned()
    }
}

async fn an_expired_authorisation_cancels_the_intent(world: World) {
    let manual = [("capture_method", "manual"), ("expand[]", "latest_charge")];
    let held = world.pay(900, Card::Approves, &manual).await.ok();
    let id = held.id();
    let charge = &held.json["latest_charge"];
    let (created, before) = (
        charge["created"].as_i64().expect("a time"),
        charge["payment_method_details"]["card"]["capture_before"].as_i64(),
    );
    assert_eq!(before, Some(created + 7 * DAY));

    world.advance_clock(7 * DAY - 600);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(
        world.bank.book().inquiries,
        0,
        "nobody asks before the time"
    );
    // It still holds it; then it says nothing; then it knows nothing of it, which proves nothing.
    world.asked_again().await;
    world.bank.book().inquiries_down = true;
    world.asked_again().await;
    world.bank.book().inquiries_down = false;
    let forgotten = std::mem::take(&mut world.bank.book().payments);
    world.asked_again().await;
    world.bank.book().payments = forgotten;
    assert_eq!(world.status(&id).await, "requires_capture");
    for payment in world.bank.book().payments.values_mut() {
        payment["status"] = json!("expired");
    }
    world.asked_again().await;
    let canceled = world.until_status(&id, "canceled").await.json;
    assert_eq!(canceled["cancellation_reason"], "automatic");
    assert_eq!(canceled["amount_capturable"], 0);
    assert!(canceled["canceled_at"].is_i64());
    let refused = world
        .post(&format!("/v1/payment_intents/{id}/capture"), &[])
        .await;
    assert_eq!(
        (refused.status, refused.code()),
        (400, "payment_intent_unexpected_state")
    );
    let types = world.event_types().await;
    for kind in ["charge.expired", "payment_intent.canceled"] {
        assert_eq!(
            types.iter().filter(|other| *other == kind).count(),
            1,
            "{types:?}"
        );
    }
    let holds = world
        .rows("select account, cast(sum(amount) as bigint) from ledger_entries group by account")
        .await;
    assert!(holds.iter().all(|(_, sum)| *sum == 0), "{holds:?}");
    world.finish().await;
}

async fn what_was_captured_or_voided_is_not_asked_for(world: World) {
    let manual = [("capture_method", "manual")];
    for verb in ["capture", "cancel"] {
        let held = world.pay(900, Card::Approves, &manual).await.ok();
        let path = format!("/v1/payment_intents/{}/{verb}", held.id());
        world.post(&path, &[]).await.ok();
    }
    world.pay(900, Card::Approves, &[]).await.ok();
    let waiting = world
        .rows("select id, expiry_check_at from charges where expiry_check_at is not null")
        .await;
    assert!(waiting.is_empty(), "{waiting:?}");
    world.finish().await;
}
