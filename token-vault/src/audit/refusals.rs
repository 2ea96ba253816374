//! Refusals and failed logins as audit events, in a transaction of their own. The first of its sort in a minute is
//! written at once, the others are counted and written as one event when the minute is over, so that a flood cannot
//! fill the disk: at most [`SORTS`] sorts a minute, the rest are counted together.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use service::headers::RequestId;
use vault_api::Code;

use super::chain::{Event, Ledger, event_id};
use super::{Act, Actor};
use crate::error::Told;
use crate::{App, Error};
use service::log::known_method;

/// How many sorts of refusal are told apart in a minute.
pub const SORTS: usize = 256;

const MINUTE: i64 = 60;

/// Who stands for all callers beyond [`SORTS`].
const OTHERS: &str = "others";

tokio::task_local! {
    static CALLER: OnceLock<Actor>;
}

/// Notes who the request that runs here turned out to be, for the event in case it is refused.
pub fn acting(actor: Actor) {
    // Outside a request there is nothing to note.
    let _ = CALLER.try_with(|caller| caller.set(actor));
}

/// Counts of this minute.
#[derive(Default)]
pub struct Refusals(Mutex<HashMap<Sort, Count>>);

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sort {
    minute: i64,
    merchant: String,
    actor: String,
    route: String,
    code: Code,
}

struct Count {
    more: i64,
    last_request: String,
}

/// Watches a listener's answers.
pub async fn watch(State(app): State<App>, request: Request, next: Next) -> Response {
    let request_id = request
        .extensions()
        .get::<RequestId>()
        .map(|id| id.0.clone())
        .unwrap_or_default();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let method = known_method(request.method());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = peer.map(|peer| app.doors.limits.client(peer.0.ip(), request.headers()));
    CALLER
        .scope(OnceLock::new(), async move {
            let response = next.run(request).await;
            if let Some(told) = response.extensions().get::<Told>() {
                let actor = CALLER.with(|caller| caller.get().cloned());
                let actor = actor.unwrap_or(Actor {
                    merchant: String::new(),
                    id: address.map_or("unknown".to_owned(), |address| address.to_string()),
                    request_id,
                });
                let path = path.as_ref().map_or("-", |path| path.as_str());
                let route = format!("{method} {path}");
                note(&app, actor, route, told.code);
            }
            response
        })
        .await
}

fn note(app: &App, actor: Actor, route: String, code: Code) {
    let sort = Sort {
        minute: app.clock.now().div_euclid(MINUTE),
        merchant: actor.merchant,
        actor: actor.id,
        route,
        code,
    };
    let Some(first) = app.refusals.count(sort, &actor.request_id) else {
        return;
    };
    let app = app.clone();
    // The answer does not wait: it is a refusal with or without the event.
    tokio::spawn(async move { write(&app, first, 1, actor.request_id).await });
}

impl Refusals {
    // The sort to write now, when this is the first of it.
    fn count(&self, mut sort: Sort, request: &str) -> Option<Sort> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !counts.contains_key(&sort) && counts.len() >= SORTS {
            sort.merchant.clear();
            sort.actor = OTHERS.to_owned();
        }
        if let Some(count) = counts.get_mut(&sort) {
            count.more += 1;
            request.clone_into(&mut count.last_request);
            return None;
        }
        let count = Count {
            more: 0,
            last_request: request.to_owned(),
        };
        counts.insert(sort.clone(), count);
        Some(sort)
    }

    fn take(&self, before: i64) -> Vec<(Sort, Count)> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .extract_if(|sort, _| sort.minute < before)
            .filter(|(_, count)| count.more > 0)
            .collect()
    }
}

/// Writes the counts of minutes that are over.
pub async fn write_counted(app: &App) {
    write_before(app, app.clock.now().div_euclid(MINUTE)).await;
}

/// Writes all counts.
pub async fn write_all(app: &App) {
    write_before(app, i64::MAX).await;
}

async fn write_before(app: &App, minute: i64) {
    for (sort, count) in app.refusals.take(minute) {
        write(app, sort, count.more, count.last_request).await;
    }
}

async fn write(app: &App, sort: Sort, times: i64, request_id: String) {
    let now = app.clock.now();
    let written = app
        .store
        .write(move |tx| {
            let act = if sort.code.status() == 401 {
                Act::LoginFailed
            } else {
                Act::Refused
            };
            Ledger::of(tx)?.append(
                tx,
                &Event {
                    id: &event_id(),
                    at: now,
                    kind: act.as_str(),
                    merchant: &sort.merchant,
                    actor: &sort.actor,
                    object: &sort.route,
                    outcome: sort.code.as_str(),
                    request_id: &request_id,
                    times,
                },
            )
        })
        .await;
    if let Err(error) = written {
        let error: Error = error;
        tracing::error!(%error, "a refusal could not be written to the audit");
        app.metrics.count("vault_audit_failures_total", &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(actor: usize, minute: i64) -> Sort {
        Sort {
            minute,
            merchant: "mer_a".into(),
            actor: format!("key_{actor}"),
            route: "POST /v1/exchange".into(),
            code: Code::NotFound,
        }
    }

    #[test]
    fn a_flood_is_counted_not_written() {
        let refusals = Refusals::default();
        let written = (0..10_000)
            .filter(|_| refusals.count(sort(1, 7), "req_1").is_some())
            .count();
        assert_eq!(written, 1);
        assert!(refusals.take(7).is_empty(), "the minute is not over");
        let counted = refusals.take(8);
        assert_eq!((counted.len(), counted[0].1.more), (1, 9_999));
    }

    #[test]
    fn many_callers_are_bounded_too() {
        let refusals = Refusals::default();
        let written = (0..10_000)
            .filter(|actor| refusals.count(sort(*actor, 7), "req_1").is_some())
            .count();
        assert_eq!(written, SORTS + 1, "and one event for all others");
        let more: i64 = refusals.take(8).iter().map(|(_, count)| count.more).sum();
        assert_eq!(written as i64 + more, 10_000, "none is lost");
    }
}
