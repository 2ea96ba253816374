//! What is bought: names, prices and quantities that the merchant's server sent; the total is the sum that is charged.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Session;
use crate::currency;
use crate::error::{Error, Refusal};
use crate::http::pages;
use crate::http::params::{Metadata, Params, merge_metadata};

const MOST: usize = 100;

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LineItem {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub metadata: Metadata,
    pub unit_amount: i64,
    pub currency: String,
    pub quantity: i64,
}

impl LineItem {
    /// What the line comes to.
    pub fn amount(&self) -> i64 {
        self.unit_amount * self.quantity
    }

    fn object(&self, livemode: bool, created: i64) -> Value {
        let id = self.id.trim_start_matches("li_");
        json!({
            "id": self.id,
            "object": "item",
            "amount_discount": 0,
            "amount_subtotal": self.amount(),
            "amount_tax": 0,
            "amount_total": self.amount(),
            "currency": self.currency,
            "description": self.name,
            "metadata": {},
            "price": {
                "id": format!("price_{id}"),
                "object": "price",
                "active": false,
                "billing_scheme": "per_unit",
                "created": created,
                "currency": self.currency,
                "custom_unit_amount": null,
                "livemode": livemode,
                "lookup_key": null,
                "metadata": {},
                "nickname": null,
                "product": format!("prod_{id}"),
                "recurring": null,
                "tax_behavior": "unspecified",
                "tiers_mode": null,
                "transform_quantity": null,
                "type": "one_time",
                "unit_amount": self.unit_amount,
                "unit_amount_decimal": self.unit_amount.to_string(),
            },
            "quantity": self.quantity,
        })
    }
}

/// Takes `line_items` of a new session; its lines are in one currency and come to an amount that can be charged.
pub fn take(params: &mut Params, session: &str) -> Result<(Vec<LineItem>, i64, String), Error> {
    let hashes = params.hashes("line_items")?.unwrap_or_default();
    if hashes.is_empty() {
        return Err(params.missing("line_items"));
    }
    if hashes.len() > MOST {
        let message = "Invalid line_items: at most 100 lines.";
        return Err(Refusal::plain(message).param("line_items").into());
    }
    let mut lines = Vec::new();
    let stem = session.rsplit('_').next().unwrap_or_default();
    for (place, hash) in hashes.into_iter().enumerate() {
        lines.push(take_line(hash, format!("li_{stem}{place}"))?);
    }
    let currency = lines[0].currency.clone();
    if lines.iter().any(|line| line.currency != currency) {
        let message = "All line items must have the same currency.";
        return Err(Refusal::plain(message).param("line_items").into());
    }
    let total = lines.iter().map(LineItem::amount).sum();
    currency::within_limits(total, "line_items")?;
    Ok((lines, total, currency))
}

fn take_line(mut line: Params, id: String) -> Result<LineItem, Error> {
    if line.has("price") {
        let message = "Prices that are stored are not available here; send price_data.";
        return Err(Refusal::plain(message).param(line.name_of("price")).into());
    }
    let mut price = line
        .hash("price_data")?
        .ok_or_else(|| line.missing("price_data"))?;
    let currency = currency::currency(&mut price)?;
    let unit_amount =
        currency::amount(&mut price, "unit_amount")?.ok_or_else(|| price.missing("unit_amount"))?;
    let mut product = price
        .hash("product_data")?
        .ok_or_else(|| price.missing("product_data"))?;
    let mut metadata = Metadata::new();
    merge_metadata(&mut metadata, product.metadata()?)?;
    let item = LineItem {
        id,
        name: product.required("name", 250)?,
        description: product.text("description", 1_000)?,
        metadata,
        unit_amount,
        currency,
        quantity: line.integer("quantity")?.unwrap_or(1),
    };
    product.finish()?;
    price.finish()?;
    if !(1..=999_999).contains(&item.quantity) {
        let message = "Invalid quantity: must be 1 to 999999.";
        let name = line.name_of("quantity");
        let refusal = Refusal::new("parameter_invalid_integer", message);
        return Err(refusal.param(name).into());
    }
    line.finish()?;
    Ok(item)
}

impl Session {
    /// The list of its lines, as an expanded session has it.
    pub fn line_items(&self) -> Value {
        let created = self.created_ms.div_euclid(1000);
        let lines = self.details.line_items.iter();
        let data = lines.map(|line| line.object(self.owner.livemode, created));
        let url = format!("/v1/checkout/sessions/{}/line_items", self.id);
        pages::list(&url, data.collect(), false)
    }
}
