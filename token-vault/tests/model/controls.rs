//! Positive controls: histories with a bug in them. A checker that does not see these shows nothing when it is green.

use std::collections::HashMap;

use serde_json::json;

use crate::checker::check;
use crate::history::{Body, Event, Op, Outcome};

const TOKEN: &str = "tok_a";
const CARD: &str = "card_a";
const GRANT: &str = "grant_a";

/// A history being written: each event after the one before it, a second of the vault's clock apart.
#[derive(Clone, Default)]
struct Story(Vec<Event>, HashMap<String, u64>);

impl Story {
    fn at(mut self, merchant: usize, op: Op, status: u16, answer: serde_json::Value) -> Self {
        let number = self.0.len() as u64;
        self.0.push(Event {
            call: number * 10 + 1,
            ret: number * 10 + 5,
            clock_from: number as i64,
            clock_to: number as i64,
            merchant,
            op,
            outcome: Outcome::Answer {
                status,
                text: answer.to_string(),
                replayed: false,
            },
        });
        self
    }

    fn created(self) -> Self {
        let answer = json!({"id": TOKEN, "expires_at": 900});
        self.at(0, Op::Create, 200, answer)
    }

    fn exchanged(self, key: &str, status: u16, answer: serde_json::Value) -> Self {
        self.at(0, exchange(TOKEN, key, 100), status, answer)
    }

    fn paid(self) -> Self {
        self.created().exchanged("k", 200, paid())
    }

    fn replayed(mut self) -> Self {
        if let Some(Outcome::Answer { replayed, .. }) = self.0.last_mut().map(|e| &mut e.outcome) {
            *replayed = true;
        }
        self
    }

    fn unknown(mut self) -> Self {
        if let Some(event) = self.0.last_mut() {
            event.outcome = Outcome::Unknown;
        }
        self
    }

    fn clock(mut self, seconds: i64) -> Self {
        if let Some(event) = self.0.last_mut() {
            (event.clock_from, event.clock_to) = (seconds, seconds);
        }
        self
    }

    fn by(mut self, merchant: usize) -> Self {
        if let Some(event) = self.0.last_mut() {
            event.merchant = merchant;
        }
        self
    }

    fn forwarded(self, attempt: &str, status: u16, bytes: &str, times: u64) -> Self {
        let op = Op::Forward {
            grant: GRANT.into(),
            attempt: attempt.into(),
            amount: 100,
        };
        let answer = json!({"bytes_sent": bytes, "response": {"status": 200}});
        let mut story = self.at(0, op, status, answer);
        if times > 0 {
            story.1.insert(attempt.into(), times);
        }
        story
    }

    fn wrong(&self) -> Vec<String> {
        check(&self.0, &self.1)
    }
}

fn exchange(source: &str, key: &str, amount: i64) -> Op {
    Op::Exchange {
        source: source.into(),
        key: key.into(),
        body: Body {
            storage: false,
            amount,
            save: false,
            cvc_token: None,
        },
    }
}

fn paid() -> serde_json::Value {
    json!({"grant": {"id": GRANT}, "stored_card": {"id": CARD}})
}

fn token() -> String {
    TOKEN.to_owned()
}

fn card() -> String {
    CARD.to_owned()
}

fn lookup(story: Story, status: &str) -> Story {
    story.at(
        0,
        Op::Lookup { token: token() },
        200,
        json!({"status": status}),
    )
}

fn revoke(story: Story, status: &str) -> Story {
    story.at(
        0,
        Op::Revoke { token: token() },
        200,
        json!({"status": status}),
    )
}

fn read_card(story: Story, status: u16) -> Story {
    story.at(0, Op::ReadCard { card: card() }, status, json!({}))
}

fn delete_card(story: Story) -> Story {
    story.at(0, Op::DeleteCard { card: card() }, 200, json!({}))
}

#[test]
fn what_may_be_passes() {
    let code = |code: &str| json!({ "code": code });
    let used = || Story::default().paid();
    let fine = [
        used(),
        used().exchanged("k", 200, paid()).replayed(),
        used().exchanged("other", 409, code("token_already_used")),
        lookup(used(), "exchanged"),
        used().at(1, exchange(TOKEN, "k", 100), 404, code("not_found")),
        // Unknown may have happened: its key may win afterwards, and others may lose to it.
        Story::default()
            .created()
            .exchanged("k", 200, paid())
            .unknown()
            .exchanged("k", 200, paid())
            .replayed(),
        Story::default()
            .created()
            .exchanged("k", 200, paid())
            .unknown()
            .exchanged("other", 409, code("token_already_used")),
        // .. or it may not.
        Story::default()
            .created()
            .exchanged("k", 200, paid())
            .unknown()
            .exchanged("other", 200, paid()),
        revoke(Story::default().created(), "revoked").exchanged("k", 410, code("token_revoked")),
        Story::default()
            .created()
            .exchanged("k", 410, code("token_expired"))
            .clock(900),
        read_card(delete_card(read_card(used(), 200)), 404),
        used().forwarded("att", 200, "all", 1),
        used().forwarded("att", 503, "", 1).unknown(),
    ];
    for (number, story) in fine.iter().enumerate() {
        assert_eq!(story.wrong(), Vec::<String>::new(), "story {number}");
    }
}

#[test]
fn every_seeded_bug_is_seen() {
    let code = |code: &str| json!({ "code": code });
    let created = || Story::default().created();
    let used = || Story::default().paid();
    let other = json!({"grant": {"id": "grant_b"}, "stored_card": {"id": CARD}});
    let bugs = [
        ("two uses won", used().exchanged("other", 200, paid())),
        (
            "two uses won",
            used().at(0, exchange(TOKEN, "k", 200), 200, paid()),
        ),
        ("other bytes", used().exchanged("k", 200, other).replayed()),
        ("done twice", used().exchanged("k", 200, paid())),
        (
            "forgotten",
            used()
                .exchanged("k", 410, code("token_expired"))
                .clock(2000),
        ),
        (
            "forgotten",
            used().exchanged("k", 409, code("token_already_used")),
        ),
        (
            "forgotten",
            used().exchanged("other", 410, code("token_revoked")),
        ),
        ("is gone", created().exchanged("k", 404, code("not_found"))),
        (
            "is gone",
            created().at(0, Op::Lookup { token: token() }, 404, json!({})),
        ),
        (
            "after it expired",
            created().exchanged("k", 200, paid()).clock(900),
        ),
        (
            "cannot be",
            revoke(created(), "revoked").exchanged("k", 200, paid()),
        ),
        ("cannot be", lookup(revoke(created(), "revoked"), "active")),
        ("cannot be", lookup(used(), "active")),
        ("cannot be", lookup(created(), "exchanged")),
        ("cannot be", lookup(created(), "expired")),
        ("cannot be", lookup(created(), "active").clock(901)),
        ("cannot be", revoke(created(), "active")),
        (
            "without a reason",
            created().exchanged("k", 409, code("token_already_used")),
        ),
        (
            "without a reason",
            created().exchanged("k", 410, code("token_expired")),
        ),
        (
            "without a reason",
            created().exchanged("k", 410, code("token_revoked")),
        ),
        (
            "without a reason",
            created().exchanged("k", 422, code("idempotency_mismatch")),
        ),
        (
            "without an original",
            created().exchanged("k", 200, paid()).replayed(),
        ),
        (
            "another merchant",
            created().at(1, exchange(TOKEN, "k", 100), 200, paid()),
        ),
        (
            "another merchant",
            used().at(1, exchange(TOKEN, "x", 100), 409, json!({})),
        ),
        (
            "another merchant",
            used().at(1, Op::ReadCard { card: card() }, 200, json!({})),
        ),
        ("card is gone", read_card(used(), 404)),
        ("after it was deleted", read_card(delete_card(used()), 200)),
        (
            "one key, two bodies",
            used().at(0, exchange(CARD, "c", 1), 200, paid()).at(
                0,
                exchange(CARD, "c", 2),
                200,
                paid(),
            ),
        ),
        (
            "exchange was forgotten",
            used().at(0, exchange(CARD, "c", 1), 200, paid()).at(
                0,
                exchange(CARD, "c", 1),
                409,
                json!({}),
            ),
        ),
        ("sent 2 times", used().forwarded("att", 200, "all", 2)),
        ("sent 0 times", used().forwarded("att", 200, "all", 0)),
        ("sent 1 times", used().forwarded("att", 200, "none", 1)),
        ("everybody was refused", used().forwarded("att", 422, "", 1)),
        (
            "two outcomes",
            used()
                .forwarded("att", 200, "all", 1)
                .forwarded("att", 200, "unknown", 1),
        ),
        (
            "outcome was forgotten",
            used()
                .forwarded("att", 200, "all", 1)
                .forwarded("att", 422, "", 1),
        ),
        (
            "another merchant",
            used().forwarded("att", 200, "all", 1).by(1),
        ),
        (
            "grant grant_a: sent 4 times",
            (0..4).fold(used(), |story, n| {
                story.forwarded(&format!("att_{n}"), 200, "all", 1)
            }),
        ),
        ("nobody expects", created().exchanged("k", 403, json!({}))),
    ];
    for (number, (expected, story)) in bugs.iter().enumerate() {
        let wrong = story.wrong();
        assert!(
            wrong.iter().any(|line| line.contains(expected)),
            "bug {number} ({expected}) was not seen: {wrong:?}"
        );
    }
    let nobody = Story(vec![], HashMap::from([("att".to_owned(), 1)]));
    assert!(nobody.wrong()[0].contains("nobody asked"));
}
