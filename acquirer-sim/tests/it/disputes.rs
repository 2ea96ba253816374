//! Disputes, from the card that opens one to the end of it, and how the processor is told.

use serde_json::{Value, json};

use crate::{World, worlds};

const DAY: i64 = 24 * 60 * 60;

async fn dispute(world: &World, id: &str) -> Value {
    world
        .bank
        .get(&format!("/json/v1/disputes/{id}"))
        .await
        .json
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_wins_loses_or_waits_and_the_clock_ends_it() {
    for world in worlds().await {
        for (reference, number) in [
            ("ref_1", "4000000000000259"),
            ("ref_2", "4000000000000259"),
            ("ref_3", "4000000000000259"),
            ("ref_4", "4000000000001976"),
        ] {
            world.sale(reference, number).await;
        }
        let told = world.told(4).await;
        let mut ids = vec![];
        for (_, body) in &told {
            assert_eq!(body["type"], "dispute.opened");
            let id = body["dispute"].as_str().expect("an id").to_owned();
            ids.push((dispute(&world, &id).await["reference"].to_string(), id));
        }
        ids.sort();
        let ids: Vec<&str> = ids.iter().map(|(_, id)| id.as_str()).collect();
        let first = dispute(&world, ids[0]).await;
        assert_eq!(
            (&first["stage"], &first["status"], &first["amount"]),
            (&json!("chargeback"), &json!("needs_response"), &json!(2000))
        );
        assert_eq!(dispute(&world, ids[3]).await["stage"], "inquiry");

        for (id, text, status) in [
            (ids[0], "a winning_evidence", "won"),
            (ids[1], "the parcel was signed for", "under_review"),
        ] {
            let path = format!("/json/v1/disputes/{id}/evidence");
            let answer = world.bank.post(&path, &json!({ "text": text })).await;
            assert_eq!(answer.json["status"], status);
        }
        world.told(6).await;
        world.advance(8 * DAY).await;
        // Reviewed, without an answer in time, an inquiry without one.
        let told = world.told(9).await;
        assert!(
            told[6..]
                .iter()
                .all(|(_, body)| body["type"] == "dispute.decided")
        );
        for (id, status) in [
            (ids[0], "won"),
            (ids[1], "won"),
            (ids[2], "lost"),
            (ids[3], "won"),
        ] {
            assert_eq!(dispute(&world, id).await["status"], status);
        }
        let late = format!("/json/v1/disputes/{}/evidence", ids[2]);
        let late = world
            .bank
            .post(&late, &json!({ "text": "winning_evidence" }))
            .await;
        assert_eq!(late.json["status"], "lost", "too late");
        let list = world.bank.get("/json/v1/disputes").await.json;
        assert_eq!(list["disputes"].as_array().map(Vec::len), Some(4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_go_wrong_on_demand() {
    for world in worlds().await {
        for (i, fault, sent) in [
            (0, json!({ "kind": "lost" }), 0),
            (1, json!({ "kind": "duplicated" }), 2),
            (2, json!({ "kind": "forged" }), 2),
            (3, json!({ "kind": "late", "ms": 300 }), 1),
        ] {
            let mut fault = fault;
            fault["operation"] = json!("notification");
            assert_eq!(world.admin.post("/admin/faults", &fault).await.status, 201);
            let before = world.told.lock().expect("not poisoned").len();
            world.sale(&format!("ref_{i}"), "4000000000000259").await;
            let told = world.told(before + sent).await;
            if i == 2 {
                let [(first, body), (second, same)] = &told[before..] else {
                    panic!("{told:?}");
                };
                assert_eq!(body, same);
                assert_ne!(first, second, "one of the signatures is wrong");
            }
            // Taken out of the queue before the next one.
            while !world.admin.get("/admin/faults").await.json["faults"]
                .as_array()
                .expect("a list")
                .is_empty()
            {
                tokio::time::sleep(std::time::Duration::from_millis(30)).await;
            }
        }
    }
}
