//! Compares a history with the model of DESIGN §5: `active → exchanged(key, body) | revoked | expired`, once; a stored
//! card until it is deleted; an attempt at most once.
//!
//! Every object is checked by itself. A call without an answer may have happened: it excuses others, and accuses none.

use std::collections::{BTreeMap, HashMap};

use crate::history::{Body, Event, Op};

/// Seconds that a key answers the same.
const REPLAY: i64 = 24 * 3600;

/// Sends of kind `authorise` that a grant allows.
const SENDS: u64 = 3;

/// What is wrong with a history; empty when nothing is. `sent` says how often the acquirer was asked, by reference.
pub fn check(history: &[Event], sent: &HashMap<String, u64>) -> Vec<String> {
    let mut wrong = Vec::new();
    let objects = Objects::of(history);
    for (token, made) in &objects.tokens {
        Token {
            token,
            made,
            events: of_token(history, token),
        }
        .check(&mut wrong);
    }
    for (card, made) in &objects.cards {
        check_card(card, made, history, &mut wrong);
    }
    check_attempts(history, &objects.grants, sent, &mut wrong);
    for (grant, sends) in sends_by_grant(history, sent) {
        if sends > SENDS {
            wrong.push(format!("grant {grant}: sent {sends} times"));
        }
    }
    check_unexpected(history, &mut wrong);
    wrong
}

/// What came into being, by the first answer that named it.
struct Objects<'a> {
    tokens: BTreeMap<String, &'a Event>,
    cards: BTreeMap<String, &'a Event>,
    grants: BTreeMap<String, &'a Event>,
}

impl<'a> Objects<'a> {
    fn of(history: &'a [Event]) -> Self {
        let mut objects = Self {
            tokens: BTreeMap::new(),
            cards: BTreeMap::new(),
            grants: BTreeMap::new(),
        };
        for event in history.iter().filter(|event| event.ok()) {
            match event.op {
                Op::Create => made(&mut objects.tokens, event, "/id"),
                Op::Exchange { .. } => {
                    made(&mut objects.cards, event, "/stored_card/id");
                    made(&mut objects.grants, event, "/grant/id");
                }
                _ => {}
            }
        }
        objects
    }
}

fn made<'a>(objects: &mut BTreeMap<String, &'a Event>, event: &'a Event, pointer: &str) {
    if let Some(id) = event.string(pointer) {
        let first = objects.entry(id).or_insert(event);
        if event.ret < first.ret {
            *first = event;
        }
    }
}

fn of_token<'a>(history: &'a [Event], id: &str) -> Vec<&'a Event> {
    let concerns = |event: &&Event| match &event.op {
        Op::Exchange { source, body, .. } => source == id || body.cvc_token.as_deref() == Some(id),
        Op::Revoke { token } | Op::Lookup { token } => token == id,
        _ => false,
    };
    history.iter().filter(concerns).collect()
}

fn use_of(event: &Event) -> Option<(&str, &str, &Body)> {
    match &event.op {
        Op::Exchange { source, key, body } => Some((source, key, body)),
        _ => None,
    }
}

struct Token<'a> {
    token: &'a str,
    made: &'a Event,
    events: Vec<&'a Event>,
}

impl Token<'_> {
    fn check(&self, wrong: &mut Vec<String>) {
        let (own, foreign): (Vec<_>, Vec<_>) = self
            .events
            .iter()
            .copied()
            .partition(|event| event.merchant == self.made.merchant);
        for event in foreign {
            if event.status().is_some_and(|status| status != 404) {
                self.says(wrong, "another merchant got more than 404", event);
            }
        }
        let uses: Vec<_> = own
            .iter()
            .copied()
            .filter(|e| use_of(e).is_some())
            .collect();
        self.one_winner(&uses, wrong);
        self.replays(&uses, wrong);
        for event in &own {
            self.lost(event, wrong);
            self.refusal(event, &own, wrong);
            self.state(event, &own, wrong);
        }
    }

    fn says(&self, wrong: &mut Vec<String>, what: &str, event: &Event) {
        wrong.push(format!(
            "token {}: {what}: {event:?}",
            &self.token[..self.token.len().min(20)]
        ));
    }

    fn expires_at(&self) -> i64 {
        self.made.json()["expires_at"].as_i64().unwrap_or(i64::MAX)
    }

    // At most one distinct use is ever acknowledged, always with the same bytes.
    fn one_winner(&self, uses: &[&Event], wrong: &mut Vec<String>) {
        let won: Vec<_> = uses.iter().copied().filter(|event| event.ok()).collect();
        let Some(first) = won.iter().copied().min_by_key(|event| event.ret) else {
            return;
        };
        for event in &won {
            if use_of(event) != use_of(first) {
                self.says(wrong, "two uses won", event);
            } else if event.text() != first.text() {
                self.says(wrong, "the same key got other bytes", event);
            }
        }
        for event in uses.iter().copied().filter(|event| event.after(first)) {
            let Some(status) = event.status() else {
                continue;
            };
            let (key, same) = (
                use_of(event).map(|u| u.1) == use_of(first).map(|u| u.1),
                use_of(event) == use_of(first),
            );
            let of_card = use_of(event).is_some_and(|u| u.0 != self.token);
            let late = event.clock_to >= first.clock_from + REPLAY;
            let fits = match (same, key) {
                // A stored card's replay is checked with its card.
                _ if of_card => status != 200 || same,
                (true, _) => status == 200 || (late && status == 409),
                (false, true) => status == 422 || (late && status == 409),
                (false, false) => status == 409,
            };
            if !fits {
                self.says(wrong, "an acknowledged use was forgotten", event);
            }
        }
    }

    // What says that it is a replay needs an original; what does not was done in time.
    fn replays(&self, uses: &[&Event], wrong: &mut Vec<String>) {
        for event in uses.iter().copied().filter(|event| event.ok()) {
            let original = uses.iter().any(|other| {
                !std::ptr::eq(*other, event)
                    && use_of(other) == use_of(event)
                    && other.maybe()
                    && !other.replayed()
                    && other.could_precede(event)
            });
            if event.replayed() && !original {
                self.says(wrong, "a replay without an original", event);
            }
            if !event.replayed() && event.clock_from >= self.expires_at() {
                self.says(wrong, "used after it expired", event);
            }
            if !event.replayed()
                && uses
                    .iter()
                    .any(|o| o.ok() && !o.replayed() && event.after(o))
            {
                self.says(wrong, "done twice under one key", event);
            }
        }
    }

    // What was acknowledged is there.
    fn lost(&self, event: &Event, wrong: &mut Vec<String>) {
        let names_it = use_of(event).is_none_or(|(source, ..)| source == self.token);
        if event.status() == Some(404) && names_it && event.after(self.made) {
            self.says(wrong, "an acknowledged token is gone", event);
        }
    }

    // A refusal needs a reason that could have come before it.
    fn refusal(&self, event: &Event, own: &[&Event], wrong: &mut Vec<String>) {
        let Some((source, key, body)) = use_of(event) else {
            return;
        };
        if source != self.token {
            return;
        }
        let used = |with: &dyn Fn(&str, &Body) -> bool| {
            own.iter().any(|other| {
                other.maybe()
                    && other.could_precede(event)
                    && use_of(other).is_some_and(|(_, key, body)| with(key, body))
            })
        };
        let reason = match event.status() {
            Some(409) => used(&|other, _| other != key) || event.clock_to >= self.expires_at(),
            Some(422) => used(&|other, with| other == key && with != body),
            Some(410) if event.string("/code").as_deref() == Some("token_expired") => {
                event.clock_to >= self.expires_at()
            }
            Some(410) => own.iter().any(|other| {
                matches!(other.op, Op::Revoke { .. }) && other.maybe() && other.could_precede(event)
            }),
            _ => true,
        };
        if !reason {
            self.says(wrong, "refused without a reason", event);
        }
    }

    // What lookup and revoke say fits what else was said.
    fn state(&self, event: &Event, own: &[&Event], wrong: &mut Vec<String>) {
        if use_of(event).is_some() || !event.ok() {
            return;
        }
        let state = event.string("/status").unwrap_or_default();
        let mut uses = own.iter().filter(|other| use_of(other).is_some());
        let fits = match state.as_str() {
            "active" => {
                let ended = own.iter().any(|other| {
                    let ends = use_of(other).is_some() || matches!(other.op, Op::Revoke { .. });
                    ends && other.ok() && event.after(other)
                });
                let revokes = matches!(event.op, Op::Revoke { .. });
                !ended && !revokes && event.clock_from < self.expires_at()
            }
            "exchanged" => uses.any(|other| other.maybe() && other.could_precede(event)),
            "revoked" => {
                let revoked = own.iter().any(|other| {
                    matches!(other.op, Op::Revoke { .. })
                        && other.maybe()
                        && other.could_precede(event)
                });
                revoked && !uses.any(|other| other.ok())
            }
            "expired" => {
                event.clock_to >= self.expires_at() && !uses.any(|o| o.ok() && event.after(o))
            }
            _ => false,
        };
        if !fits {
            self.says(wrong, "a state that cannot be", event);
        }
    }
}

fn check_card(card: &str, made: &Event, history: &[Event], wrong: &mut Vec<String>) {
    let concerns = |event: &&Event| match &event.op {
        Op::ReadCard { card: id } | Op::DeleteCard { card: id } => id == card,
        Op::Exchange { source, .. } => source == card,
        _ => false,
    };
    let events: Vec<_> = history.iter().filter(concerns).collect();
    let deletes: Vec<_> = events
        .iter()
        .copied()
        .filter(|e| matches!(e.op, Op::DeleteCard { .. }) && e.merchant == made.merchant)
        .collect();
    let mut says =
        |what: &str, event: &Event| wrong.push(format!("card {card}: {what}: {event:?}"));
    for event in &events {
        if event.merchant != made.merchant {
            if event.status().is_some_and(|status| status != 404) {
                says("another merchant got more than 404", event);
            }
            continue;
        }
        let deletable = |other: &&Event| {
            other.maybe() && other.could_precede(event) && !std::ptr::eq(*other, *event)
        };
        if event.status() == Some(404)
            && event.after(made)
            && !deletes.iter().copied().any(|e| deletable(&e))
            && use_of(event).is_none_or(|(_, _, body)| body.cvc_token.is_none())
        {
            says("an acknowledged card is gone", event);
        }
        let deleted = deletes.iter().any(|d| d.ok() && event.after(d));
        let replay = event.replayed();
        if event.ok() && deleted && !replay {
            says("used after it was deleted", event);
        }
        if let Some((_, key, body)) = use_of(event).filter(|_| event.ok()) {
            let others = events.iter().filter(|other| {
                other.ok() && use_of(other).is_some_and(|(_, other, _)| other == key)
            });
            for other in others {
                if use_of(other).is_some_and(|u| u.2 != body) {
                    says("one key, two bodies", event);
                } else if other.text() != event.text() {
                    says("the same key got other bytes", event);
                }
            }
        }
        forgotten(event, &events, &deletes, &mut says);
    }
}

// An acknowledged exchange of a card stays acknowledged under its key, until the card is deleted.
fn forgotten(
    event: &Event,
    events: &[&Event],
    deletes: &[&Event],
    says: &mut dyn FnMut(&str, &Event),
) {
    let (Some((_, key, body)), Some(status)) = (use_of(event), event.status()) else {
        return;
    };
    let won = events.iter().find(|other| {
        other.ok() && event.after(other) && use_of(other).is_some_and(|(_, other, _)| other == key)
    });
    let Some(won) = won else { return };
    let same = use_of(won).is_some_and(|u| u.2 == body);
    let deleted = deletes.iter().any(|d| d.maybe() && d.could_precede(event));
    let late = event.clock_to >= won.clock_from + REPLAY;
    let fits = if same { status == 200 } else { status == 422 };
    let excused = late || (deleted && status == 404);
    if !fits && !excused {
        says("an acknowledged exchange was forgotten", event);
    }
}

// Attempts are a merchant's: the same id is another attempt at another merchant's. A grant says whose it is.
fn check_attempts(
    history: &[Event],
    grants: &BTreeMap<String, &Event>,
    sent: &HashMap<String, u64>,
    wrong: &mut Vec<String>,
) {
    let mut attempts: BTreeMap<(&str, usize), Vec<&Event>> = BTreeMap::new();
    let mut owners: HashMap<&str, usize> = HashMap::new();
    for event in history {
        if let Op::Forward { attempt, .. } | Op::Close { attempt } = &event.op {
            let calls = attempts.entry((attempt, event.merchant)).or_default();
            calls.push(event);
        }
        if let Op::Forward { grant, attempt, .. } = &event.op {
            let owner = grants.get(grant).map_or(event.merchant, |e| e.merchant);
            owners.insert(attempt, owner);
        }
    }
    for reference in sent.keys() {
        if !owners.contains_key(reference.as_str()) {
            wrong.push(format!(
                "attempt {reference}: sent, and nobody asked for it"
            ));
        }
    }
    for ((attempt, merchant), events) in attempts {
        let own = owners.get(attempt).is_none_or(|owner| *owner == merchant);
        if own {
            let times = sent.get(attempt).copied().unwrap_or(0);
            check_attempt(attempt, times, &events, wrong);
        } else if let Some(event) = events
            .iter()
            .find(|event| event.ok() && matches!(event.op, Op::Forward { .. }))
        {
            wrong.push(format!(
                "attempt {attempt}: sent for another merchant: {event:?}"
            ));
        }
    }
}

fn check_attempt(attempt: &str, times: u64, events: &[&Event], wrong: &mut Vec<String>) {
    let mut says = |what: &str, event: &Event| {
        wrong.push(format!(
            "attempt {attempt}: sent {times} times, {what}: {event:?}"
        ));
    };
    let forwards: Vec<_> = events
        .iter()
        .filter(|e| matches!(e.op, Op::Forward { .. }))
        .collect();
    if let Some(event) = forwards.first() {
        if times > 1 {
            says("more than once", event);
        }
        if times > 0 && !forwards.iter().any(|event| event.maybe()) {
            says("everybody was refused", event);
        }
    }
    let first = events.iter().filter(|e| e.ok()).min_by_key(|e| e.ret);
    for event in events.iter().filter(|event| event.ok()) {
        if first.is_some_and(|first| first.json() != event.json()) {
            says("two outcomes", event);
        }
        let counted = match event.string("/bytes_sent").as_deref() {
            Some("none") => times == 0,
            Some("all") => times == 1 || event.json()["response"].is_null(),
            Some("partial" | "unknown") => true,
            _ => false,
        };
        if !counted {
            says("and it said", event);
        }
    }
    for event in forwards {
        let done = first.is_some_and(|first| event.after(first));
        if done && event.status().is_some_and(|status| status != 200) && !closed(first) {
            says("its outcome was forgotten", event);
        }
    }
}

fn closed(event: Option<&&Event>) -> bool {
    event.is_some_and(|event| event.string("/failure").as_deref() == Some("closed"))
}

fn sends_by_grant(history: &[Event], sent: &HashMap<String, u64>) -> BTreeMap<String, u64> {
    let mut by_attempt = BTreeMap::new();
    for event in history {
        if let Op::Forward { grant, attempt, .. } = &event.op {
            by_attempt.insert(attempt.as_str(), grant.as_str());
        }
    }
    let mut sends = BTreeMap::new();
    for (attempt, grant) in by_attempt {
        *sends.entry(grant.to_owned()).or_insert(0) += sent.get(attempt).copied().unwrap_or(0);
    }
    sends
}

// Statuses that no call of the driver's may get.
fn check_unexpected(history: &[Event], wrong: &mut Vec<String>) {
    for event in history {
        let fits = match (&event.op, event.status()) {
            (_, None | Some(200)) => true,
            (Op::Create, _) => false,
            (Op::Exchange { .. }, Some(status)) => matches!(status, 404 | 409 | 410 | 422),
            (Op::Forward { .. } | Op::Close { .. }, Some(status)) => {
                matches!(status, 404 | 409 | 410 | 422)
            }
            (_, Some(status)) => status == 404,
        };
        if !fits {
            wrong.push(format!("an answer that nobody expects: {event:?}"));
        }
    }
}
