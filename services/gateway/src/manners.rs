//! What every answer has in common, whatever its route.

use std::any::Any;

use anyhow::Context as _;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::error::Problem;
use crate::orders::REPLAYED;
use crate::{consistency, problems};

const NO_COMPRESSION: HeaderName = HeaderName::from_static("x-no-compression");

const URI_BYTES_MAX: usize = 8 * 1024;

const CACHE_NEVER: HeaderValue =
    HeaderValue::from_static("private, no-cache, no-store, must-revalidate");

const SECURITY: [(HeaderName, HeaderValue); 4] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000; includeSubDomains"),
    ),
];

const API_CONTENT: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// The bundled page runs its own scripts and sets its own styles.
const DOCS_CONTENT: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
);

/// Refuses what no route could answer, and completes every answer's headers.
pub async fn apply(mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let (api, docs) = (path.starts_with("/api/"), path.starts_with("/docs"));
    let uri_bytes = request
        .uri()
        .path_and_query()
        .map_or(0, |uri| uri.as_str().len());
    if request.headers().contains_key(NO_COMPRESSION) {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    let mut response = if uri_bytes > URI_BYTES_MAX {
        Problem::new(&problems::URI_TOO_LONG).into_response()
    } else if api && !accepts_json(request.headers()) {
        Problem::new(&problems::NOT_ACCEPTABLE).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        headers.insert(name, value);
    }
    let content = if docs { DOCS_CONTENT } else { API_CONTENT };
    headers.insert(header::CONTENT_SECURITY_POLICY, content);
    if api && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, CACHE_NEVER);
    }
    response
}

fn accepts_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return true;
    }
    let accepted = |value: &HeaderValue| {
        let mut ranges = value.to_str().unwrap_or_default().split(',');
        ranges.any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
            let known = matches!(
                essence.as_str(),
                "*/*" | "application/*" | "application/json" | "application/problem+json"
            );
            let refused = |part: &str| {
                part.strip_prefix("q=")
                    .is_some_and(|q| q.parse() == Ok(0.0))
            };
            known && !parts.any(refused)
        })
    };
    values.any(accepted)
}

/// A handler that panicked is our fault; the caller learns the request's id and no more.
pub fn on_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text, "a handler panicked");
    Problem::new(&problems::INTERNAL).into_response()
}

/// Which web pages may call the API; `None`: none but our own.
pub fn cors(origins: &[String]) -> anyhow::Result<Option<CorsLayer>> {
    if origins.is_empty() {
        return Ok(None);
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let parse = |origin: &String| HeaderValue::try_from(origin).context("--cors-origins");
        AllowOrigin::list(
            origins
                .iter()
                .map(parse)
                .collect::<anyhow::Result<Vec<_>>>()?,
        )
    };
    let methods = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    let exposed = [
        "etag",
        "location",
        "retry-after",
        "x-cart-token",
        "x-request-id",
        "ratelimit",
        "ratelimit-policy",
    ];
    let exposed = exposed
        .map(HeaderName::from_static)
        .into_iter()
        .chain([REPLAYED, consistency::HEADER]);
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods(methods)
        // A `*` would not allow `Authorization`.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed.collect::<Vec<_>>());
    Ok(Some(layer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_answered_to_those_who_take_it() {
        let accepts = |text: &'static str| {
            let accept = (header::ACCEPT, HeaderValue::from_static(text));
            accepts_json(&[accept].into_iter().collect())
        };

        assert!(accepts_json(&HeaderMap::new()));
        assert!(accepts("text/html, application/json;q=0.9"));
        assert!(accepts("*/*"));
        assert!(accepts("Application/JSON"));
        assert!(!accepts("text/html"));
        assert!(!accepts("application/json;q=0"));
    }
}
