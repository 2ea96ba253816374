//! Refunds around the settlement of their payment: before its file, between file and value day, and after; never more than
//! was captured, and each line of the file is known.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use card::calendar::date;
use serde_json::Value;

use crate::bank::Card;
use crate::world::{World, on_both_stores};

on_both_stores!(refunds_before_during_and_after_settlement);

const DAY_S: i64 = 24 * 60 * 60;

pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("soon")
}

impl World {
    async fn part(&self, intent: &str, amount: &str) -> Value {
        let form = [("payment_intent", intent), ("amount", amount)];
        self.post("/v1/refunds", &form).await.ok().json
    }

    async fn until_lines(&self, count: usize) -> Vec<(String, i64)> {
        let until = Instant::now() + Duration::from_secs(30);
        let sql = "select coalesce(finding, kind), gross from settlement_lines order by day, line";
        loop {
            let lines = self.rows(sql).await;
            if lines.len() == count {
                return lines;
            }
            assert!(Instant::now() < until, "{lines:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn settles(&self, day: i64, value_day: i64, lines: &[String]) {
        let head = "type,payment,payment_reference,reference,last4,currency,gross,fee,net,batch_date,value_date";
        let (day, value) = (date(day), date(value_day));
        let lines = lines.iter().map(|line| format!("{line},{day},{value}\n"));
        let text = format!("{head}\n{}", lines.collect::<String>());
        self.bank.book().settlements.insert(day, text);
    }
}

fn operation(refund: &Value) -> String {
    let id = refund["id"].as_str().expect("an id");
    format!("op_{}", id.trim_start_matches("re_"))
}

async fn refunds_before_during_and_after_settlement(world: World) {
    let today = now_ms().div_euclid(1000 * DAY_S);
    let paid = world.pay(1_000, Card::Approves, &[]).await.ok();
    let intent = paid.id();
    let payment = world
        .bank
        .book()
        .payments
        .keys()
        .next()
        .expect("a payment")
        .clone();

    let before = world.part(&intent, "300").await;
    assert_eq!(before["status"], "succeeded");
    let (first, p) = (operation(&before), payment.as_str());
    let lines = [
        format!("capture,{p},r1,r1,4242,usd,1000,59,941"),
        format!("refund,{p},r1,{first},4242,usd,-300,0,-300"),
    ];
    world.settles(today, today + 2, &lines);
    world.advance_clock(DAY_S + 61);
    let read = world.until_lines(2).await;
    assert_eq!(
        read,
        [("capture".to_owned(), 1_000), ("refund".to_owned(), -300)]
    );

    // The file is read, the money is there a day later.
    let during = world.part(&intent, "300").await;
    assert_eq!(during["status"], "succeeded");
    let second = operation(&during);
    world.settles(
        today + 1,
        today + 3,
        &[format!("refund,{p},r1,{second},4242,usd,-300,0,-300")],
    );
    world.advance_clock(3 * DAY_S + 122);
    let read = world.until_lines(3).await;
    assert_eq!(read[2], ("refund".to_owned(), -300));
    let over = [("payment_intent", intent.as_str()), ("amount", "401")];
    let over = world.post("/v1/refunds", &over).await;
    assert_eq!((over.status, over.code()), (400, "amount_too_large"));

    let after = world.part(&intent, "400").await;
    assert_eq!(after["status"], "succeeded");
    let more = world
        .post("/v1/refunds", &[("payment_intent", &intent)])
        .await;
    assert_eq!((more.status, more.code()), (400, "charge_already_refunded"));
    let third = operation(&after);
    for day in [today + 2, today + 3] {
        let line = format!("refund,{p},r1,{third},4242,usd,-400,0,-400");
        let lines: &[String] = if day == today + 3 { &[line] } else { &[] };
        world.settles(day, day + 2, lines);
    }
    world.advance_clock(6 * DAY_S + 183);
    let read = world.until_lines(4).await;
    assert_eq!(read[3], ("refund".to_owned(), -400));
    assert_eq!(world.bank.taken(), (1_000, 1_000));
    let owed = "select currency, cast(sum(amount) as bigint) from ledger_entries
                where account = 'acquirer_receivable' group by currency";
    assert_eq!(
        world.rows(owed).await,
        [("usd".to_owned(), 0)],
        "all of it was settled"
    );
    let balance = world.get("/v1/balance").await.ok().json;
    // What is left of it is the fee: 2.9 % and 30.
    assert_eq!(
        (
            &balance["available"][0]["amount"],
            &balance["pending"][0]["amount"]
        ),
        (&(-59).into(), &0.into())
    );
    world.finish().await;
}
