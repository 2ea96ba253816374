//! `POST /v1/routing/explain`: which acquirer a payment would go to, and why. It charges nothing and keeps nothing.

use axum::Json;
use serde_json::Value;

use super::{Facts, plan};
use crate::currency;
use crate::error::Error;
use crate::http::call::Call;

/// `POST /v1/routing/explain`
pub async fn route(mut call: Call) -> Result<Json<Value>, Error> {
    let params = &mut call.params;
    let amount = currency::amount(params, "amount")?.ok_or_else(|| params.missing("amount"))?;
    let currency = currency::currency(params)?;
    let method = params.one_of("payment_method_type", &["card"])?;
    let brand = params.text("brand", 20)?;
    let region = params.text("region", 2)?;
    let risk = params.one_of("risk", &["normal", "elevated", "highest"])?;
    let seed = params.text("seed", 100)?;
    call.params.finish()?;
    let merchant = call.owner.merchant;
    let facts = Facts {
        method: method.unwrap_or("card").into(),
        brand,
        amount,
        currency,
        region: region.or_else(|| call.app.routes.rules.region_of(&merchant)),
        risk: risk.unwrap_or("normal").into(),
        seed: seed.unwrap_or_default(),
        merchant,
    };
    Ok(Json(plan(&call.app, &facts).object()))
}
