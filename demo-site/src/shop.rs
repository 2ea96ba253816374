//! `GET /`: the goods, with the prices that the database knows.

use std::fmt::Write as _;

use axum::extract::State;
use axum::response::Response;
use store::{Error, Tx, params};

use crate::Shop;
use crate::pages::{self, Problem, escape, price};

pub(crate) async fn page(State(shop): State<Shop>) -> Result<Response, Problem> {
    let goods = shop.0.store.read::<_, Error, _>(goods).await?;
    let mut body = String::from(
        "<main><section class=\"hero\"><h1>Good things for the desk</h1>\
         <p>Six of them. Made to be used every day, and mended when they need it.</p></section><ul class=\"goods\">",
    );
    for good in goods {
        let _ = write!(
            body,
            "<li><form method=\"post\" action=\"/orders\"><img src=\"/assets/goods/{id}.svg\" alt=\"\" width=\"320\" height=\"240\">\
             <div class=\"about\"><h2>{name}</h2><p>{blurb}</p></div>\
             <div class=\"buy\"><span class=\"price\">{price}</span>\
             <button name=\"item\" value=\"{id}\" aria-label=\"Buy {name}\">Buy</button></div></form></li>",
            id = escape(&good.id),
            name = escape(&good.name),
            blurb = escape(&good.blurb),
            price = price(good.price, &good.currency),
        );
    }
    body.push_str("</ul></main>");
    Ok(pages::page(&shop.0.settings, "Shop", &body))
}

struct Good {
    id: String,
    name: String,
    blurb: String,
    price: i64,
    currency: String,
}

fn goods(tx: &mut Tx<'_>) -> Result<Vec<Good>, Error> {
    let rows = tx.all(
        "select id, name, blurb, price, currency from goods order by position",
        params![],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Good {
                id: row.get(0)?,
                name: row.get(1)?,
                blurb: row.get(2)?,
                price: row.get(3)?,
                currency: row.get(4)?,
            })
        })
        .collect()
}
