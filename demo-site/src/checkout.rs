//! `GET /checkout/{order}`: the page that embeds the card form, by the snippet that the README shows.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;

use crate::Shop;
use crate::orders::{self, Order};
use crate::pages::{self, Problem, escape, price};

pub(crate) async fn page(
    State(shop): State<Shop>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order = orders::of_buyer(&shop, id, &headers).await?;
    let settings = &shop.0.settings;
    let summary = summary(&order);
    let body = if order.status == "pending" {
        let status = order.told();
        include_str!("pages/checkout.html")
            .replace("{summary}", &summary)
            .replace("{order}", &escape(&order.id))
            .replace("{payment}", status.payment)
            .replace("{message}", &escape(&status.message.unwrap_or_default()))
            .replace("{key}", &settings.publishable_key)
            .replace("{vault}", &settings.vault_url)
            .replace("{price}", &price(order.amount, &order.currency))
    } else {
        let words = match order.status.as_str() {
            "paid" => "Paid — thank you",
            "refunded" => "Refunded",
            "disputed" => "Disputed with your bank",
            _ => "This order is closed",
        };
        format!(
            "<main class=\"checkout\">{summary}<section class=\"payment\"><p id=\"order-status\" class=\"{}\" role=\"status\">{words}</p>\
             <p class=\"after\"><a class=\"button quiet\" href=\"/\">Back to the shop</a></p></section></main>",
            escape(&order.status)
        )
    };
    Ok(pages::page(settings, "Checkout", &body))
}

fn summary(order: &Order) -> String {
    format!(
        "<section class=\"summary\" aria-label=\"Your order\"><h1>Checkout</h1><div class=\"line\">\
         <img src=\"/assets/goods/{item}.svg\" alt=\"\" width=\"96\" height=\"72\"><div><h2>{name}</h2><p>{blurb}</p></div>\
         <span class=\"price\">{price}</span></div><dl><dt>Shipping</dt><dd>Free</dd><dt class=\"total\">Total</dt>\
         <dd class=\"total\">{price}</dd></dl></section>",
        item = escape(&order.item),
        name = escape(&order.item_name),
        blurb = escape(&order.item_blurb),
        price = price(order.amount, &order.currency),
    )
}
