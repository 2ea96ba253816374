//! `POST /orders/{order}/pay {"token"}`: the buyer's card, as a token, pays the buyer's order.

use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::{Error, Tx};

use crate::Shop;
use crate::attempts;
use crate::hosted;
use crate::orders::{self, Order};
use crate::pages::Problem;

/// What the browser is told: never the whole intent.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    /// `succeeded`, `processing`, `declined` or `closed`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Deserialize)]
struct Request {
    token: String,
}

/// Takes up an attempt, or joins the one that is under way: whatever is clicked, there is one at a time.
pub(crate) async fn pay(
    State(shop): State<Shop>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Told>, Problem> {
    let order = orders::of_buyer(&shop, id.clone(), &headers).await?;
    let body = body.map_err(|_| Problem::BadRequest)?;
    let token = token(&headers, &body).ok_or(Problem::BadRequest)?;
    if order.status != "pending" {
        return Ok(Json(told(&order)));
    }
    if !hosted::withdraw(&shop, &order).await? {
        return Ok(Json(Told {
            status: "processing",
            message: None,
        }));
    }
    let now = shop.0.clock.now_ms();
    let begin = move |tx: &mut Tx<'_>| attempts::begin(tx, &order, &token, now);
    if let Some(attempt) = shop.0.store.write::<_, Error, _>(begin).await? {
        // A task of its own: a buyer who closes the page does not interrupt it.
        let sending = shop.clone();
        let send = async move { attempts::send(&sending, attempt).await };
        let sent = tokio::spawn(service::traces::carried(send));
        sent.await.map_err(|_| Problem::Internal)??;
    }
    Ok(Json(told(&orders::of_buyer(&shop, id, &headers).await?)))
}

fn told(order: &Order) -> Told {
    let state = order.attempt.as_ref().map(|attempt| attempt.state.as_str());
    let message = order.told().message;
    match (order.status.as_str(), state) {
        ("paid", _) => Told {
            status: "succeeded",
            message,
        },
        ("pending", Some("declined")) => Told {
            status: "declined",
            message,
        },
        ("pending", Some("succeeded")) => Told {
            status: "succeeded",
            message,
        },
        ("pending", _) => Told {
            status: "processing",
            message,
        },
        _ => Told {
            status: "closed",
            message: Some("This order is closed and cannot be paid.".to_owned()),
        },
    }
}

// serde_json's errors quote what they choke on, so they stop here.
fn token(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let json = headers.get("content-type")?.to_str().ok()?;
    if !json.starts_with("application/json") {
        return None;
    }
    let Request { token } = serde_json::from_slice(body).ok()?;
    let fits = token.starts_with("tok_")
        && token.len() <= 128
        && token
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !card::filter::holds_card_number(&token);
    fits.then_some(token)
}
