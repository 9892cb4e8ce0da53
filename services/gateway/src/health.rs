//! Probes and keys, on the public port.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use crate::Gateway;
use crate::error::Problem;
use crate::problems;

pub async fn live() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "live" }))
}

pub async fn ready(State(gateway): State<Gateway>) -> Response {
    if gateway.chassis.is_ready() {
        Json(serde_json::json!({ "status": "ready" })).into_response()
    } else {
        Problem::new(&problems::UNAVAILABLE).into_response()
    }
}

/// The public keys of access tokens, for those who verify them themselves.
pub async fn jwks(State(gateway): State<Gateway>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json"),
        (header::CACHE_CONTROL, "public, max-age=60"),
    ];
    match gateway.auth.jwks() {
        Some(jwks) => (headers, jwks).into_response(),
        None => Problem::new(&problems::UNAVAILABLE).into_response(),
    }
}
