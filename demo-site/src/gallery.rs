//! `GET /gallery`: the card form in every state, to be looked at. The samples are listed in `assets/gallery.js`.

use axum::extract::State;
use axum::response::Response;

use crate::{Shop, pages};

pub(crate) async fn page(State(shop): State<Shop>) -> Response {
    let settings = &shop.0.settings;
    let body = include_str!("pages/gallery.html")
        .replace("{key}", &settings.publishable_key)
        .replace("{ruled}", settings.gallery_key.as_deref().unwrap_or(""))
        .replace("{vault}", &settings.vault_url);
    pages::page(settings, "Card form", &body)
}
