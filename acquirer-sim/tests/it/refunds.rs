//! Refunds that do not end with their answer, in every dialect: one that is done later, one that comes back.

use crate::dialects::{Caller, callers};
use crate::worlds;

const DAY: i64 = 24 * 60 * 60;

impl Caller {
    async fn returned(&self) -> String {
        match self.name {
            "json" => {
                let path = "/json/v1/returned_refunds?since=0";
                self.http.get(path).await.text
            }
            "form" => self.form(&[("TRXTYPE", "CR"), ("SINCE", "0")]).await,
            _ => {
                self.xml(r#"<inquiry><returnedRefundsInquiry since="0"/></inquiry>"#)
                    .await
            }
        }
    }
}

fn is_pending(answer: &str) -> bool {
    let words = [
        "\"status\":\"pending\"",
        "TRANSSTATE=PENDING",
        "<refundPending ",
    ];
    words.iter().any(|word| answer.contains(word))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_done_later_and_one_comes_back() {
    for world in worlds().await {
        let today = world.today().0;
        let mut ids = vec![];
        for caller in callers(&world) {
            let name = caller.name;
            let (late, _) = caller.pay("ref_1", "4000000000007726", true).await;
            let (back, _) = caller.pay("ref_2", "4000000000005126", true).await;
            for _ in 0..2 {
                let answer = caller.changed("refunds", &late, 700, "re_1").await;
                assert!(is_pending(&answer), "{name}: {answer}");
                let answer = caller.changed("refunds", &back, 700, "re_2").await;
                assert!(!is_pending(&answer), "{name}: {answer}");
            }
            assert!(!caller.returned().await.contains("re_2"), "{name}");
            ids.push((late, back));
        }
        world.advance(6).await;
        let told = world.told(6).await;
        let mut told: Vec<_> = told
            .iter()
            .map(|(_, body)| format!("{} {}", body["type"], body["refund"]))
            .collect();
        told.sort();
        let (done, returned) = (r#""refund.done" "re_1""#, r#""refund.returned" "re_2""#);
        assert_eq!(told, [done, done, done, returned, returned, returned]);
        for (caller, (late, back)) in callers(&world).into_iter().zip(&ids) {
            let name = caller.name;
            let answer = caller.changed("refunds", late, 700, "re_1").await;
            assert!(!is_pending(&answer), "{name}: {answer}");
            let list = caller.returned().await;
            assert!(
                list.contains("re_2") && !list.contains("re_1"),
                "{name}: {list}"
            );
            assert!(list.contains("54") && list.contains("7"), "{name}: {list}");
            // The money is there again, so it can be given back another time.
            let answer = caller.changed("refunds", back, 2000, "re_3").await;
            assert!(answer.contains("00"), "{name}: {answer}");
        }
        let books = world.admin.get("/admin/payments?reference=ref_2").await;
        let books = books.json["payments"].as_array().expect("a list").clone();
        assert!(books.iter().all(|one| one["refunded"] == 2000), "{books:?}");
        world.advance(6 + DAY).await;
        for caller in callers(&world) {
            let file = caller.settlement(&today).await;
            let amounts: &[&str] = match caller.name {
                "json" => &[
                    "refund,",
                    ",usd,-700,0,-700,",
                    "refund_return,",
                    ",usd,700,0,700,",
                ],
                "form" => &[
                    "CREDIT;",
                    ";USD;-7.00;0.00;-7.00;",
                    "RETURN;",
                    ";USD;7.00;0.00;7.00;",
                ],
                _ => &[
                    "DREF",
                    "USD           -700             +0",
                    "DRTN",
                    "USD           +700             +0",
                ],
            };
            for part in amounts {
                assert!(file.contains(part), "{}: {part} in {file}", caller.name);
            }
        }
    }
}
