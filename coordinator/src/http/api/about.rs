//! What this page shows, and what it can do.

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use crate::http::site::Site;

pub(in crate::http) async fn about(State(site): State<Site>) -> Response {
    let shown = site.shown();
    super::json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "root": shown.root,
        "queue": shown.queue,
        "ledger": shown.ledger,
        "imagery": site.imagery().is_some(),
        "signs_in": site.token().is_some(),
    }))
}

/// The API in words that programs read.
pub(in crate::http) const OPENAPI: &str = include_str!("../../../../web/openapi.json");

pub(in crate::http) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], OPENAPI).into_response()
}
