//! Payments whose merchant is paid in another currency: exact amounts, books that balance in each currency, and nothing
//! sent without a rate.

use axum::http::{Method, StatusCode};
use card::calendar::date;
use serde_json::{Value, json};

use crate::bank::Card;
use crate::world::{Answer, World, encode, on_both_stores};

on_both_stores!(
    a_payment_is_settled_in_the_merchants_currency,
    a_refund_goes_at_the_rate_of_its_day,
    a_capture_goes_at_the_rate_of_its_day,
    what_the_acquirer_reports_is_booked_as_it_was_paid,
    without_a_rate_nothing_is_sent,
    the_books_balance_in_each_currency,
    what_is_not_set_up_is_settled_as_it_is_paid,
);

const DAY_S: i64 = 24 * 60 * 60;

fn today() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_secs() as i64 / DAY_S
}

impl World {
    // Restarts with mer_one paid in EUR, and these rates.
    async fn settle_in_euro(&mut self, rates: &[(&str, &str)]) {
        self.kill();
        let set_up = "rates = \"rates.toml\"\nmax_age_days = 4\n[[merchant]]\nid = \"mer_one\"\n\
                      settlement_currency = \"eur\"\n";
        std::fs::write(self.file("conversion.toml"), set_up).expect("written");
        self.write_rates_of(today(), rates);
        self.run().await;
    }

    fn write_rates_of(&self, day: i64, rates: &[(&str, &str)]) {
        let mut text = format!(
            "source = \"test bank\"\nas_of = \"{}\"\nbase = \"eur\"\n[rates]\n",
            date(day)
        );
        for (currency, rate) in rates {
            text.push_str(&format!("{currency} = \"{rate}\"\n"));
        }
        std::fs::write(self.file("rates.toml"), text).expect("written");
    }

    // New rates in the running program.
    async fn new_rates(&self, day: i64, rates: &[(&str, &str)]) {
        self.write_rates_of(day, rates);
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    }

    async fn pay_in(&self, currency: &str, amount: i64, extra: &[(&str, &str)]) -> Answer {
        let (amount, token) = (amount.to_string(), self.token(Card::Approves));
        let mut form = vec![
            ("amount", amount.as_str()),
            ("currency", currency),
            ("confirm", "true"),
            ("payment_method_data[type]", "card"),
            ("payment_method_data[card][token]", token.as_str()),
        ];
        form.extend_from_slice(extra);
        self.post("/v1/payment_intents", &form).await
    }

    // Amount, currency, fee, net, exchange rate of the source's newest balance transaction.
    async fn moved(&self, source: &str) -> Value {
        let path = format!("/v1/balance_transactions?limit=1&source={source}");
        let one = self.get(&path).await.ok().json["data"][0].clone();
        json!([
            one["amount"],
            one["currency"],
            one["fee"],
            one["net"],
            one["exchange_rate"]
        ])
    }

    async fn refund(&self, intent: &str, amount: i64) -> Answer {
        let amount = amount.to_string();
        let form = [("payment_intent", intent), ("amount", amount.as_str())];
        self.post("/v1/refunds", &form).await.ok()
    }

    // What stands in the accounts of conversion, in all currencies: `account/currency`.
    async fn positions(&self) -> Vec<(String, i64)> {
        self.rows(
            "select account || '/' || currency, cast(sum(amount) as bigint) from ledger_entries
             where account like 'conversion%' group by account, currency having sum(amount) <> 0
             order by account, currency",
        )
        .await
    }
}

fn charge(paid: &Answer) -> &str {
    paid.json["latest_charge"].as_str().expect("a charge")
}

async fn a_payment_is_settled_in_the_merchants_currency(mut world: World) {
    let rates = [("usd", "1.25"), ("jpy", "163.50"), ("kwd", "0.3334")];
    world.settle_in_euro(&rates).await;
    for (currency, amount, wanted) in [
        // 1000.00 USD at 0.8; the fee is 2.9 % of what is settled.
        ("usd", 100_000, json!([80_000, "eur", 2_320, 77_680, 0.8])),
        // 1800 yen are 11.0091744 EUR.
        (
            "jpy",
            1_800,
            json!([1_101, "eur", 32, 1_069, 0.006_116_208]),
        ),
        // 12.345 dinars are 37.0275945 EUR.
        (
            "kwd",
            12_345,
            json!([3_703, "eur", 107, 3_596, 2.999_400_1]),
        ),
        // 0.5 and 2.5 cents are rounded to even: the first is nothing, and refused below.
        ("usd", 3, json!([2, "eur", 0, 2, 0.8])),
        ("eur", 1_000, json!([1_000, "eur", 29, 971, null])),
    ] {
        let paid = world.pay_in(currency, amount, &[]).await.ok();
        assert_eq!(paid.json["currency"], currency);
        assert_eq!(paid.json["amount_received"], amount);
        assert_eq!(
            world.moved(charge(&paid)).await,
            wanted,
            "{amount} {currency}"
        );
    }
    // Half of a yen's hundredth is no cent.
    let sends = world.bank.book().forwards.len();
    world
        .new_rates(today(), &[("usd", "1.25"), ("jpy", "250")])
        .await;
    let little = world.pay_in("jpy", 1, &[]).await;
    assert_eq!((little.status, little.code()), (400, "amount_too_small"));
    assert_eq!(world.bank.book().forwards.len(), sends);
    let balance = world.get("/v1/balance").await.ok().json;
    let pending = balance["pending"].as_array().expect("a list");
    assert_eq!(pending.len(), 1, "{balance}");
    assert_eq!(
        (&pending[0]["currency"], &pending[0]["amount"]),
        (&json!("eur"), &json!(77_680 + 1_069 + 3_596 + 2 + 971))
    );
    // As merchants' code asks for it, with the charge.
    let query = "expand[]=data.balance_transaction&limit=1";
    let last = world.get(&format!("/v1/charges?{query}")).await.ok();
    let moved = &last.json["data"][0]["balance_transaction"];
    assert_eq!(
        (&moved["object"], &moved["net"], &moved["status"]),
        (
            &json!("balance_transaction"),
            &json!(971),
            &json!("pending")
        )
    );
    let taken = world.positions().await;
    let wanted = [
        ("conversion.jpy_eur/eur", 1_101),
        ("conversion.jpy_eur/jpy", -1_800),
        ("conversion.kwd_eur/eur", 3_703),
        ("conversion.kwd_eur/kwd", -12_345),
        ("conversion.usd_eur/eur", 80_002),
        ("conversion.usd_eur/usd", -100_003),
    ];
    assert_eq!(
        taken,
        wanted.map(|(account, amount)| (account.to_owned(), amount))
    );
    let source =
        "select rate_source, amount from balance_transactions where presented_currency = 'kwd'";
    assert_eq!(
        world.rows(source).await,
        [(format!("test bank {}", date(today())), 3_703)]
    );
    world.finish().await;
}

async fn a_refund_goes_at_the_rate_of_its_day(mut world: World) {
    world.settle_in_euro(&[("usd", "1.25")]).await;
    let paid = world.pay_in("usd", 1_000, &[]).await.ok();
    world.new_rates(today(), &[("usd", "1")]).await;
    let first = world.refund(&paid.id(), 400).await;
    assert_eq!(
        (&first.json["amount"], &first.json["currency"]),
        (&json!(400), &json!("usd"))
    );
    assert_eq!(
        world.moved(&first.id()).await,
        json!([-400, "eur", 0, -400, 1.0])
    );
    // The merchant pays 4.00 where 3.20 was taken: the difference is ours.
    let standing = [
        ("conversion.usd_eur/eur", 480),
        ("conversion.usd_eur/usd", -600),
        ("conversion_result/eur", -80),
    ];
    let standing = standing.map(|(account, amount)| (account.to_owned(), amount));
    assert_eq!(world.positions().await, standing);
    // The bank's no gives back what was taken, at the rate at which it was.
    world.bank.book().refuse_operations = true;
    world.new_rates(today(), &[("usd", "0.5")]).await;
    let refused = world.refund(&paid.id(), 100).await;
    assert_eq!(refused.json["status"], "failed");
    assert_eq!(
        world.moved(&refused.id()).await,
        json!([200, "eur", 0, 200, 2.0])
    );
    assert_eq!(world.positions().await, standing);
    world.bank.book().refuse_operations = false;
    // A rate the other way costs us.
    world.new_rates(today(), &[("usd", "1.6")]).await;
    let rest = world.refund(&paid.id(), 600).await;
    assert_eq!(
        world.moved(&rest.id()).await,
        json!([-375, "eur", 0, -375, 0.625])
    );
    assert_eq!(
        world.positions().await,
        [("conversion_result/eur".to_owned(), -80 + 105)]
    );
    assert_eq!(world.bank.taken(), (1_000, 1_000));
    // A payment stays in the currency that it was settled in, whatever is set up later.
    let again = world.pay_in("usd", 1_600, &[]).await.ok();
    world.kill();
    let set_up =
        "rates = \"rates.toml\"\n[[merchant]]\nid = \"mer_one\"\nsettlement_currency = \"usd\"\n";
    std::fs::write(world.file("conversion.toml"), set_up).expect("written");
    world.run().await;
    let refund = world.refund(&again.id(), 1_600).await;
    assert_eq!(
        world.moved(&refund.id()).await,
        json!([-1_000, "eur", 0, -1_000, 0.625])
    );
    world.finish().await;
}

async fn a_capture_goes_at_the_rate_of_its_day(mut world: World) {
    world.settle_in_euro(&[("usd", "1.25")]).await;
    let manual = [("capture_method", "manual")];
    let held = world.pay_in("usd", 1_000, &manual).await.ok();
    assert!(world.positions().await.is_empty());
    world.new_rates(today() - 5, &[("usd", "2")]).await;
    let path = format!("/v1/payment_intents/{}/capture", held.id());
    let stale = world.post(&path, &[]).await;
    assert_eq!(
        (stale.status, stale.code()),
        (503, "exchange_rate_unavailable")
    );
    assert_eq!(world.bank.taken(), (0, 0));
    let still = world
        .get(&format!("/v1/payment_intents/{}", held.id()))
        .await
        .ok();
    assert_eq!(still.json["status"], "requires_capture");
    world.new_rates(today(), &[("usd", "2")]).await;
    // The acquirer's answer is lost: the rate is that of the call, whenever the answer comes.
    world.bank.book().operation_faults = vec![StatusCode::BAD_GATEWAY];
    let form = [("amount_to_capture", "900")];
    let pending = world.post(&path, &form).await.ok();
    assert_eq!(pending.json["status"], "processing");
    world.new_rates(today(), &[("usd", "4")]).await;
    world.until_status(&held.id(), "succeeded").await;
    // 4.50 less 2.9 %.
    assert_eq!(
        world.moved(charge(&held)).await,
        json!([450, "eur", 13, 437, 0.5])
    );
    world.finish().await;
}

async fn what_the_acquirer_reports_is_booked_as_it_was_paid(mut world: World) {
    world
        .replace_in_acquirers(
            "usd = 30 }",
            "usd = 30 }, dispute = { usd = 1500, eur = 1300 }",
        )
        .await;
    world.settle_in_euro(&[("usd", "1.25")]).await;
    let paid = world.pay_in("usd", 1_000, &[]).await.ok();
    let refund = world.refund(&paid.id(), 300).await;
    let payment = {
        let book = world.bank.book();
        book.payments.keys().next().expect("a payment").clone()
    };
    // A chargeback of the rest comes when the rate is another: it goes at the payment's own.
    world.new_rates(today(), &[("usd", "2")]).await;
    world.bank.book().disputes = vec![json!({
        "id": "cb_1", "payment": payment, "amount": 700, "currency": "usd", "reason_code": "10.4",
        "stage": "chargeback", "status": "needs_response", "due_at": 4_102_444_800_000_i64, "has_evidence": false,
    })];
    let operation = format!("op_{}", refund.id().trim_start_matches("re_"));
    let day = date(today());
    let lines = [
        format!("capture,{payment},r1,r1,4242,usd,1000,12,988,{day},{day}"),
        format!("refund,{payment},r1,{operation},4242,usd,-300,0,-300,{day},{day}"),
        format!("chargeback,{payment},r1,cb_1,4242,usd,-700,0,-700,{day},{day}"),
    ];
    let head = "type,payment,payment_reference,reference,last4,currency,gross,fee,net,batch_date,value_date";
    let file = format!("{head}\n{}\n", lines.join("\n"));
    world.advance_clock(61);
    let path = format!("/v1/disputes?payment_intent={}", paid.id());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let dispute = loop {
        let listed = world.get(&path).await.ok().json["data"][0].clone();
        if listed.is_object() {
            break listed;
        }
        assert!(std::time::Instant::now() < until, "no dispute");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let id = dispute["id"].as_str().expect("an id");
    assert_eq!(
        world.moved(id).await,
        json!([-560, "eur", 1_300, -1_860, 0.8])
    );
    assert_eq!(world.positions().await, []);
    world.bank.book().settlements.insert(day, file);
    world.advance_clock(61 + DAY_S);
    let sql = "select coalesce(finding, kind), gross from settlement_lines order by line";
    while world.rows(sql).await.is_empty() {
        assert!(std::time::Instant::now() < until, "no file was read");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let read = [("capture", 1_000), ("refund", -300), ("chargeback", -700)];
    assert_eq!(
        world.rows(sql).await,
        read.map(|(kind, gross)| (kind.to_owned(), gross))
    );
    let owed = "select account || '/' || currency, cast(sum(amount) as bigint) from ledger_entries
                where account in ('acquirer_receivable', 'bank', 'acquirer_costs') group by account, currency
                order by account, currency";
    let owed = world.rows(owed).await;
    let wanted = [
        ("acquirer_costs/usd", 12),
        ("acquirer_receivable/usd", 0),
        ("bank/usd", -12),
    ];
    assert_eq!(
        owed,
        wanted.map(|(account, amount)| (account.to_owned(), amount))
    );
    world.finish().await;
}

async fn without_a_rate_nothing_is_sent(mut world: World) {
    world.settle_in_euro(&[("usd", "1.25")]).await;
    let token = world.token(Card::Approves);
    let form = |currency: &'static str| {
        [
            ("amount", "1000"),
            ("currency", currency),
            ("confirm", "true"),
            ("payment_method_data[type]", "card"),
            ("payment_method_data[card][token]", token.as_str()),
        ]
    };
    let missing = world.post("/v1/payment_intents", &form("sek")).await;
    assert_eq!(
        (missing.status, missing.code()),
        (503, "exchange_rate_unavailable")
    );
    assert_eq!(missing.json["error"]["type"], "api_error");
    world.new_rates(today() - 5, &[("usd", "1.25")]).await;
    let stale = world
        .post_as("order_1", "/v1/payment_intents", &form("usd"))
        .await;
    assert_eq!(
        (stale.status, stale.code()),
        (503, "exchange_rate_unavailable")
    );
    // No card was asked for and nothing was sent; what needs no rate goes on.
    {
        let book = world.bank.book();
        assert_eq!((book.exchanges, book.forwards.len()), (0, 0));
    }
    world.pay_in("eur", 500, &[]).await.ok();
    // A file that cannot be read changes nothing.
    std::fs::write(world.file("rates.toml"), "rates = nonsense").expect("written");
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    let stale = world
        .post_as("order_1", "/v1/payment_intents", &form("usd"))
        .await;
    assert_eq!(stale.code(), "exchange_rate_unavailable");
    // With new rates the same call, under the same key and with the same token, pays.
    world.new_rates(today() - 4, &[("usd", "1.25")]).await;
    let paid = world
        .post_as("order_1", "/v1/payment_intents", &form("usd"))
        .await
        .ok();
    assert_eq!(paid.json["status"], "succeeded");
    assert_eq!(world.moved(charge(&paid)).await[0], 800);
    // Nor is a refund begun without one.
    world.new_rates(today() - 5, &[("usd", "1.25")]).await;
    let refund = world
        .post("/v1/refunds", &[("payment_intent", &paid.id())])
        .await;
    assert_eq!(
        (refund.status, refund.code()),
        (503, "exchange_rate_unavailable")
    );
    assert_eq!(world.bank.taken().1, 0);
    world.finish().await;
}

async fn the_books_balance_in_each_currency(mut world: World) {
    world
        .settle_in_euro(&[("usd", "1.0834"), ("jpy", "163.5"), ("kwd", "0.3334")])
        .await;
    // A linear congruence: the same payments each time.
    let mut state: u64 = 20_261_121;
    let mut draw = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % below) as i64
    };
    let mut paid = Vec::new();
    for round in 0..6 {
        for currency in ["usd", "jpy", "kwd", "eur"] {
            let amount = 500 + draw(99_000);
            let answer = world.pay_in(currency, amount, &[]).await.ok();
            paid.push((answer.id(), amount));
        }
        let (usd, jpy) = (10_000 + draw(2_000), 1_500 + draw(300));
        let (usd, jpy) = (
            format!("1.{}", usd % 10_000 + 1),
            format!("{}.{}", jpy / 10, jpy % 10),
        );
        world
            .new_rates(today(), &[("usd", &usd), ("jpy", &jpy), ("kwd", "0.3219")])
            .await;
        // Parts of some are refunded; the bank refuses every third.
        for (at, (intent, left)) in paid.iter_mut().enumerate() {
            if *left < 2 || draw(2) == 0 {
                continue;
            }
            let part = 1 + draw(*left as u64);
            let refused = (round + at) % 3 == 0;
            world.bank.book().refuse_operations = refused;
            let refund = world.refund(intent, part).await;
            let status = if refused { "failed" } else { "succeeded" };
            assert_eq!(refund.json["status"], status);
            *left -= if refused { 0 } else { part };
        }
        world.bank.book().refuse_operations = false;
    }
    for (intent, left) in &paid {
        if *left > 0 {
            world.refund(intent, *left).await;
        }
    }
    // Everything was refunded: no currency is left in a position, down to the last unit.
    let open: Vec<_> = world
        .positions()
        .await
        .into_iter()
        .filter(|(account, _)| !account.starts_with("conversion_result"))
        .collect();
    assert_eq!(open, []);
    let taken = world.bank.taken();
    assert_eq!(taken.0, taken.1);
    world.finish().await;
}

async fn what_is_not_set_up_is_settled_as_it_is_paid(mut world: World) {
    world.settle_in_euro(&[("usd", "1.25")]).await;
    use vault_api::keys::{Kind, Mode};
    let other = world.bank.key("mer_two", Kind::Secret, Mode::Test);
    let token = world.token(Card::Approves);
    let form = encode(&crate::world::pay_form("1000", &token));
    let post = Method::POST;
    let paid = world
        .call(post, "/v1/payment_intents", &other, None, &form)
        .await
        .ok();
    assert_eq!(paid.json["status"], "succeeded");
    let path = "/v1/balance_transactions?limit=1";
    let listed = world.call(Method::GET, path, &other, None, "").await.ok();
    let one = &listed.json["data"][0];
    assert_eq!(
        (&one["currency"], &one["amount"], &one["exchange_rate"]),
        (&json!("usd"), &json!(1_000), &Value::Null)
    );
    world.finish().await;
}
