//! What handlers take from a request. Every rejection is a problem that names the field.

use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use chassis::Caller;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use crate::error::Problem;
use crate::problems;

/// A JSON body.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(&problems::UNSUPPORTED_MEDIA_TYPE));
        }
        read(&body(request, state).await?).map(Self)
    }
}

/// A JSON body that may be left out.
pub struct JsonOrNothing<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for JsonOrNothing<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let body = body(request, state).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json {
            return Err(Problem::new(&problems::UNSUPPORTED_MEDIA_TYPE));
        }
        let given: Option<T> = read(&body)?;
        Ok(Self(given.unwrap_or_default()))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(text) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next().unwrap_or_default();
    let suffixed = essence.starts_with("application/") && essence.ends_with("+json");
    let utf8 = |part: String| match part.strip_prefix("charset=") {
        Some(charset) => charset.trim_matches('"') == "utf-8",
        None => true,
    };
    (essence == "application/json" || suffixed) && parts.all(utf8)
}

async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| match rejection.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(&problems::TOO_LARGE),
            _ => Problem::new(&problems::MALFORMED).with_detail("the body ended early"),
        })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // A struct would be read from an array of its fields' values too.
    if body.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice::<IgnoredAny>(body).map_err(|error| refuse_json("", &error))?;
        let expected = "expected an object";
        return Err(Problem::field(
            &problems::INVALID,
            "",
            "wrong-type",
            expected,
        ));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        refuse_json(&path, error.inner())
    })?;
    json.end().map_err(|error| refuse_json("", &error))?;
    Ok(value)
}

fn refuse_json(path: &str, error: &serde_json::Error) -> Problem {
    if error.classify() != Category::Data {
        let at = format!(
            "not JSON at line {}, column {}",
            error.line(),
            error.column()
        );
        return Problem::new(&problems::MALFORMED).with_detail(at);
    }
    let text = error.to_string();
    let path = if path == "." { "" } else { path };
    // The parser's text repeats the value that it met, which may be a secret: only the expectation is told.
    let expected = text.split(" at line ").next().unwrap_or_default();
    let expected = expected
        .split_once(", ")
        .map_or("another value is expected", |(_, rest)| rest);
    let (field, code, detail) = if let Some(name) = quoted_after(&text, "missing field `") {
        (join(path, name), "required", "is required")
    } else if let Some(name) = quoted_after(&text, "unknown field `") {
        let full = if path.ends_with(name) {
            path.to_owned()
        } else {
            join(path, name)
        };
        (full, "unknown-field", "is not a field of this request")
    } else if let Some(name) = quoted_after(&text, "duplicate field `") {
        (join(path, name), "duplicate-field", "is given twice")
    } else {
        (path.to_owned(), "wrong-type", expected)
    };
    Problem::field(&problems::INVALID, &field, code, detail)
}

fn quoted_after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.strip_prefix(start)?.split('`').next()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() || path == name {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The path's only parameter: an id, a SKU.
pub struct Id<T>(pub T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = path_params(parts, state).await?;
        let (name, text) = params.iter().next().unwrap_or_default();
        parse_id(name, text).map(Self)
    }
}

/// The path's two parameters.
pub struct Ids<A, B>(pub A, pub B);

impl<S: Send + Sync, A: FromStr, B: FromStr> FromRequestParts<S> for Ids<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = path_params(parts, state).await?;
        let mut params = params.iter();
        let (first, text) = params.next().unwrap_or_default();
        let a = parse_id(first, text)?;
        let (second, text) = params.next().unwrap_or_default();
        Ok(Self(a, parse_id(second, text)?))
    }
}

async fn path_params<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
) -> Result<RawPathParams, Problem> {
    RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Problem::new(&problems::MALFORMED).with_detail("the path is not UTF-8"))
}

/// 422 `invalid-id` for what cannot be an id of this kind.
pub fn parse_id<T: FromStr>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| {
        Problem::field(
            &problems::INVALID_ID,
            field,
            "invalid-id",
            "is no id of ours",
        )
    })
}

/// Somebody who logged in; everybody else is answered 401.
pub struct SignedIn;

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Caller::current().signed_in() {
            Some(_) => Ok(Self),
            None => Err(Problem::new(&problems::UNAUTHENTICATED)),
        }
    }
}

/// A member of staff; a customer is answered 403.
pub struct Staff;

impl<S: Send + Sync> FromRequestParts<S> for Staff {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        SignedIn::from_request_parts(parts, state).await?;
        if Caller::current().is_staff() {
            Ok(Self)
        } else {
            Err(Problem::new(&problems::FORBIDDEN))
        }
    }
}

/// The caller's name for one thing to be done, kept by the service that does it.
pub struct IdempotencyKey(pub String);

const KEY_BYTES_MAX: usize = 255;

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Err(Problem::new(&problems::KEY_REQUIRED));
        };
        let key = value.to_str().unwrap_or_default();
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            let detail = format!("1 to {KEY_BYTES_MAX} visible ASCII characters are expected");
            return Err(Problem::field(
                &problems::INVALID,
                "Idempotency-Key",
                "invalid",
                detail,
            ));
        }
        Ok(Self(key.to_owned()))
    }
}

/// The version that the caller wants to change; 428 without one.
pub struct IfMatch(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let version = if_match(&parts.headers)?;
        version
            .map(Self)
            .ok_or_else(|| Problem::new(&problems::IF_MATCH_REQUIRED))
    }
}

/// `None` without the header. What is no version of ours matches nothing: 412.
pub fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let quoted = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().strip_prefix('"')?.strip_suffix('"'));
    match quoted.and_then(|version| version.parse().ok()) {
        Some(version) => Ok(Some(version)),
        None => Err(Problem::new(&problems::VERSION_MISMATCH)),
    }
}

/// A guest's cart, `cart_id.secret`.
pub const CART_TOKEN: &str = "x-cart-token";

/// The cart token of a guest. A customer's cart is their own: by now the guest's was merged into it.
pub struct CartToken(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for CartToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let guest = Caller::current().signed_in().is_none();
        let token = parts.headers.get(CART_TOKEN).filter(|_| guest);
        let text = token.and_then(|value| value.to_str().ok());
        Ok(Self(text.map(str::to_owned)))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[expect(dead_code, reason = "only read")]
        sku: String,
        #[expect(dead_code, reason = "only read")]
        quantity: i64,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Items {
        #[expect(dead_code, reason = "only read")]
        items: Vec<Item>,
    }

    fn refused<T: DeserializeOwned + std::fmt::Debug>(json: &str) -> serde_json::Value {
        let problem = read::<T>(json.as_bytes()).unwrap_err();
        serde_json::json!([problem.kind().slug, problem.errors()])
    }

    #[test]
    fn a_field_at_fault_is_named() {
        let cases = [
            (
                r#"{"items": [{"sku": "A", "quantity": 1e30}]}"#,
                "items[0].quantity",
                "wrong-type",
            ),
            (
                r#"{"items": [{"sku": "A"}]}"#,
                "items[0].quantity",
                "required",
            ),
            (
                r#"{"items": [{"sku": "A", "quantity": 1, "x": 2}]}"#,
                "items[0].x",
                "unknown-field",
            ),
            (r#"{"items": [], "y": 2}"#, "y", "unknown-field"),
            (r"{}", "items", "required"),
            (r#"{"items": [], "items": []}"#, "items", "duplicate-field"),
            (r"[1]", "", "wrong-type"),
            (r#" [[{"sku": "A", "quantity": 1}]]"#, "", "wrong-type"),
        ];

        for (json, field, code) in cases {
            let refused = refused::<Items>(json);
            assert_eq!(refused[0], "invalid", "{json}");
            assert_eq!(refused[1][0]["field"], field, "{json}");
            assert_eq!(refused[1][0]["code"], code, "{json}");
        }
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for json in ["", "{", "[1", r#"{"items": []} x"#, "nul", "\u{feff}{}"] {
            assert_eq!(refused::<Items>(json)[0], "malformed", "{json}");
        }
    }

    #[test]
    fn a_value_is_not_repeated_to_the_caller() {
        let refused = refused::<Item>(r#"{"sku": 12345678, "quantity": 1}"#).to_string();

        assert!(!refused.contains("12345678"), "{refused}");
        assert!(refused.contains("expected a string"), "{refused}");
    }

    #[test]
    fn only_json_in_utf8_is_taken() {
        let taken = [
            "application/json",
            "application/json; charset=utf-8",
            "application/merge-patch+json",
        ];
        let refused = [
            "text/plain",
            "application/json; charset=latin1",
            "",
            "application/xml",
        ];

        let is_json = |text: &str| {
            is_json(
                &[(header::CONTENT_TYPE, text.parse().unwrap())]
                    .into_iter()
                    .collect(),
            )
        };

        assert!(taken.iter().all(|text| is_json(text)));
        assert!(!refused.iter().any(|text| is_json(text)));
    }
}
