//! Paying on the hosted page: the order is stored, a Checkout Session is made for it, the buyer goes there and comes back.
//! That they came back says nothing: the order is paid by the verified webhook or the orphan job.
//!
//! An order is paid in one way at a time: a session is stored only where no attempt is open, an attempt begins only where
//! no session is stored, and both are decided by the database.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use store::{Error, Tx, params};

use crate::Shop;
use crate::gateway::{Intent, Session};
use crate::orders::{self, Order};
use crate::pages::{self, Problem, escape};

/// `POST /orders/{order}/hosted`: to the hosted page, with the session that is open or a new one.
pub(crate) async fn go(
    State(shop): State<Shop>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order = orders::of_buyer(&shop, id, &headers).await?;
    let back = format!("/checkout/{}", order.id);
    if order.status != "pending" {
        return Ok(to(&back));
    }
    if let Some(session) = &order.session {
        match shop.0.gateway.session(session).await {
            Some(Session { url: Some(url), .. }) => return Ok(to(&url)),
            Some(session) if session.status == "complete" => return Ok(to(&returned(&order.id))),
            Some(_) => forget(&shop, &order.id, session).await?,
            None => return Ok(to(&back)),
        }
    }
    let made = shop
        .0
        .gateway
        .create_session(&order, &shop.0.settings.public_url)
        .await;
    let Some((made, url)) = made.and_then(|made| Some((made.id.clone(), made.url?))) else {
        return Err(Problem::Internal);
    };
    let (order_id, session) = (order.id.clone(), made.clone());
    let keep = move |tx: &mut Tx<'_>| {
        tx.execute(
            "update orders set session_id = $2 where id = $1 and status = 'pending' and session_id is null
                 and not exists (select 1 from payment_attempts a where a.order_id = orders.id and a.state <> 'declined')",
            params![&order_id, &session],
        )
    };
    if shop.0.store.write::<_, Error, _>(keep).await? == 1 {
        tracing::info!(order = order.id, "to the hosted page");
        return Ok(to(&url));
    }
    // Somebody was faster: nobody may pay this one.
    shop.0.gateway.expire_session(&made).await;
    Ok(to(&back))
}

fn to(place: &str) -> Response {
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, place.to_owned())],
    )
        .into_response()
}

fn returned(order: &str) -> String {
    format!("/payment/success/{order}")
}

/// Takes the order back from the hosted page, so that it can be paid here. False when it may be paid there.
pub(crate) async fn withdraw(shop: &Shop, order: &Order) -> Result<bool, Problem> {
    let Some(session) = &order.session else {
        return Ok(true);
    };
    // Forgotten first: an order whose session expires is closed, and this one is not to be.
    forget(shop, &order.id, session).await?;
    shop.0.gateway.expire_session(session).await;
    let ended = shop.0.gateway.session(session).await;
    if ended.is_some_and(|session| session.status == "expired") {
        return Ok(true);
    }
    remember(shop, &order.id, session).await?;
    Ok(false)
}

async fn forget(shop: &Shop, order: &str, session: &str) -> Result<(), Problem> {
    let (order, session) = (order.to_owned(), session.to_owned());
    let write = move |tx: &mut Tx<'_>| {
        tx.execute(
            "update orders set session_id = null where id = $1 and session_id = $2",
            params![&order, &session],
        )
    };
    shop.0.store.write::<_, Error, _>(write).await?;
    Ok(())
}

async fn remember(shop: &Shop, order: &str, session: &str) -> Result<(), Problem> {
    let (order, session) = (order.to_owned(), session.to_owned());
    let write = move |tx: &mut Tx<'_>| {
        tx.execute(
            "update orders set session_id = $2 where id = $1 and session_id is null",
            params![&order, &session],
        )
    };
    shop.0.store.write::<_, Error, _>(write).await?;
    Ok(())
}

/// `GET /payment/success/{order}`: where the hosted page sends the buyer. It moves nothing; it asks how the order stands.
pub(crate) async fn success(
    State(shop): State<Shop>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order = orders::of_buyer(&shop, id, &headers).await?;
    let body = include_str!("pages/return.html").replace("{order}", &escape(&order.id));
    Ok(pages::page(&shop.0.settings, "Your order", &body))
}

/// News of a session, by webhook or by asking.
pub(crate) fn follow(tx: &mut Tx<'_>, session: &Session, now: i64) -> Result<(), Error> {
    match session.status.as_str() {
        "complete" => {
            let (Some(intent), Some(amount)) = (&session.intent, session.paid) else {
                return Ok(());
            };
            let intent = Intent::paid(intent, amount, &session.currency);
            let order = orders::paid_by(tx, &intent.id, session.order.as_deref())?;
            match order {
                Some(order) => orders::succeed(tx, &order, &intent, now).map(drop),
                None => Ok(()),
            }
        }
        "expired" => {
            tx.execute(
                "update orders set status = 'cancelled' where session_id = $1 and status = 'pending'",
                params![&session.id],
            )?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Sessions of orders that are still pending after `older_than`: the orphan job asks how they stand.
pub(crate) fn orphans(
    tx: &mut Tx<'_>,
    older_than: i64,
    younger_than: i64,
) -> Result<Vec<String>, Error> {
    let rows = tx.all(
        "select session_id from orders where status = 'pending' and session_id is not null
             and created_at <= $1 and created_at > $2 order by created_at",
        params![older_than, younger_than],
    )?;
    rows.iter().map(|row| row.get(0)).collect()
}
