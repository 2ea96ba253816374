//! `POST /orders/{order}/leave`: the buyer would not do what the bank asks. The intent is canceled, so that another card
//! can pay; an intent that went through meanwhile stays as it is.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use store::{Error, Tx, params};

use crate::Shop;
use crate::gateway::Answer;
use crate::orders::{self, Status};
use crate::pages::Problem;
use crate::{attempts, decline};

const REASON: &str = "authentication_abandoned";

pub(crate) async fn leave(
    State(shop): State<Shop>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Status>, Problem> {
    orders::of_buyer(&shop, id.clone(), &headers).await?;
    let order = id.clone();
    let find = move |tx: &mut Tx<'_>| -> Result<Option<(i64, String)>, Error> {
        let row = tx.first(
            "select number, payment_intent_id from payment_attempts
             where order_id = $1 and state = 'processing' and client_secret is not null
                 and payment_intent_id is not null",
            params![&order],
        )?;
        row.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
    };
    if let Some((number, intent)) = shop.0.store.read(find).await? {
        let canceled = match shop.0.gateway.cancel(&intent).await {
            Answer::Intent(intent) => intent.status == "canceled",
            _ => false,
        };
        if canceled {
            let (order, words) = (
                id.clone(),
                decline::words(REASON, "You left your bank's page."),
            );
            let close =
                move |tx: &mut Tx<'_>| attempts::decline(tx, (&order, number), REASON, &words);
            shop.0.store.write::<_, Error, _>(close).await?;
        }
    }
    Ok(Json(orders::of_buyer(&shop, id, &headers).await?.told()))
}
