//! Fraud rules that count: by card, address and session, exactly, however many processes there are; and how often
//! browsers of one address may pay.

use axum::http::Method;
use vault_api::keys::{Kind, Mode};

use crate::bank::Card;
use crate::world::{Answer, World, encode, on_both_stores};

on_both_stores!(
    a_card_is_counted_by_all_processes,
    an_address_and_a_session_are_counted,
    declines_of_a_card_are_counted,
    browsers_of_one_address_pay_so_often,
);

fn velocity(by: &str, counts: &str, over: i64) -> String {
    format!(
        "[[rule]]\nname = \"{counts} by {by}\"\naction = \"block\"\n\
         velocity = {{ by = \"{by}\", counts = \"{counts}\", over = {over}, minutes = 60 }}\n"
    )
}

fn statuses(answers: &[Answer]) -> (usize, usize) {
    let of = |status: u16| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    assert_eq!(of(200) + of(402), answers.len(), "{answers:?}");
    (of(200), of(402))
}

async fn a_card_is_counted_by_all_processes(mut world: World) {
    world
        .with_risk_rules(&velocity("card", "payments", 3))
        .await;
    world.bank.book().fingerprint = Some("fp1_a".into());
    let other = world.beside().await;
    async fn five(world: &World) -> [Answer; 5] {
        let [a, b, c, d, e] = [(); 5].map(|()| world.pay(100, Card::Approves, &[]));
        tokio::join!(a, b, c, d, e).into()
    }
    let (here, there) = tokio::join!(five(&world), five(&other));
    let answers = [here, there].concat();
    assert_eq!(statuses(&answers), (3, 7));
    assert_eq!(world.bank.book().forwards.len(), 3, "nothing else was sent");
    world.bank.book().fingerprint = Some("fp1_b".into());
    world.pay(100, Card::Approves, &[]).await.ok();
    world.bank.book().fingerprint = Some("fp1_a".into());
    assert_eq!(world.pay(100, Card::Approves, &[]).await.status, 402);
    world.advance_clock(61 * 60);
    world.pay(100, Card::Approves, &[]).await.ok();
    drop(other);
    world.finish().await;
}

async fn an_address_and_a_session_are_counted(mut world: World) {
    let rules = velocity("address", "cards", 2) + &velocity("session", "payments", 2);
    world.with_risk_rules(&rules).await;
    const ADDRESS: &str = "mandate_data[customer_acceptance][online][ip_address]";
    const SESSION: &str = "radar_options[session]";
    let pay = |card: &'static str, extra: [(&'static str, &'static str); 2]| {
        let world = &world;
        async move {
            world.bank.book().fingerprint = Some(card.into());
            world.pay(100, Card::Approves, &extra).await.status
        }
    };
    let online = ("mandate_data[customer_acceptance][type]", "online");
    for (card, address, expected) in [
        ("fp1_a", "203.0.113.7", 200),
        ("fp1_a", "203.0.113.7", 200),
        ("fp1_b", "203.0.113.7", 200),
        ("fp1_c", "203.0.113.7", 402),
        ("fp1_b", "203.0.113.7", 200),
        ("fp1_c", "203.0.113.8", 200),
        // A network of IPv6 is counted as one.
        ("fp1_a", "2001:db8:1:2::1", 200),
        ("fp1_b", "2001:db8:1:2::2", 200),
        ("fp1_c", "2001:db8:1:2::3", 402),
    ] {
        let status = pay(card, [(ADDRESS, address), online]).await;
        assert_eq!(status, expected, "{card} {address}");
    }
    for (session, expected) in [
        ("rse_1", 200),
        ("rse_1", 200),
        ("rse_1", 402),
        ("rse_2", 200),
    ] {
        let status = pay("fp1_a", [(SESSION, session), ("description", "x")]).await;
        assert_eq!(status, expected, "{session}");
    }
    let wrong = world
        .pay(100, Card::Approves, &[(ADDRESS, "somewhere"), online])
        .await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    assert_eq!(wrong.json["error"]["param"], ADDRESS);
    world.finish().await;
}

async fn declines_of_a_card_are_counted(mut world: World) {
    world
        .with_risk_rules(&velocity("card", "declines", 1))
        .await;
    world.bank.book().fingerprint = Some("fp1_a".into());
    for _ in 0..2 {
        let declined = world.pay(100, Card::Declines("51"), &[]).await;
        assert_eq!(declined.json["error"]["decline_code"], "insufficient_funds");
    }
    let blocked = world.pay(100, Card::Approves, &[]).await;
    assert_eq!(blocked.json["error"]["decline_code"], "fraudulent");
    assert_eq!(world.bank.book().forwards.len(), 2);
    world.finish().await;
}

async fn browsers_of_one_address_pay_so_often(mut world: World) {
    world.kill();
    world.flags.push("--trusted-proxy=127.0.0.1");
    world.run().await;
    let browser = world.bank.key("mer_one", Kind::Publishable, Mode::Test);
    let authorization = format!("Bearer {}", browser.expose());
    let pay = |address: &'static str| {
        let (world, authorization) = (&world, authorization.as_str());
        async move {
            let form = [("amount", "100"), ("currency", "usd")];
            let made = world.post("/v1/payment_intents", &form).await.ok();
            let token = world.token(Card::Approves);
            let secret = made.json["client_secret"].as_str().expect("a secret");
            let form = [
                ("client_secret", secret),
                ("payment_method_data[type]", "card"),
                ("payment_method_data[card][token]", token.as_str()),
            ];
            let headers = [
                ("authorization", authorization),
                ("content-type", "application/x-www-form-urlencoded"),
                ("x-forwarded-for", address),
            ];
            let path = format!("/v1/payment_intents/{}/confirm", made.id());
            world
                .raw(Method::POST, &path, &headers, &encode(&form))
                .await
        }
    };
    for _ in 0..10 {
        pay("9.9.9.9").await.ok();
    }
    let refused = pay("9.9.9.9").await;
    assert_eq!((refused.status, refused.code()), (429, "rate_limit"));
    let message = "Too many payment requests, please try again later.";
    assert_eq!(refused.json["error"]["message"], message);
    let wait: i64 = refused.headers["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert!((1..=900).contains(&wait), "{wait}");
    pay("9.9.9.8").await.ok();
    // An address of a private network is a proxy's, and says nothing of a buyer.
    for _ in 0..11 {
        pay("10.1.2.3").await.ok();
    }
    world.advance_clock(15 * 60 + 1);
    pay("9.9.9.9").await.ok();
    assert_eq!(world.bank.charges(), 23);
    world.finish().await;
}
