//! Every failure, and what the caller is told: problem documents (RFC 9457).

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chassis::{Context, fault};
use serde::Serialize;
use serde_json::Value;
use tonic::{Code, Status};

use crate::orders::with_replayed;
use crate::problems::{self, Kind};
use crate::rate_limit::Standing;

/// The document's own members, which no refusal replaces.
const DOCUMENT: [&str; 6] = ["type", "title", "status", "detail", "code", "errors"];

/// How many seconds a caller should wait when nothing better is known.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a request is refused. It becomes a problem document with the current request's ids.
#[derive(Clone, Debug)]
pub struct Problem(Box<Refusal>);

#[derive(Clone, Debug)]
struct Refusal {
    kind: &'static Kind,
    detail: Option<String>,
    errors: Vec<FieldError>,
    members: BTreeMap<String, Value>,
    /// The limit that was exceeded.
    limit: Option<Standing>,
    /// An earlier request with the same key was refused so.
    replayed: bool,
}

/// One field that cannot be accepted.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Where it is in the request: `shippingAddress.country`, `items[0].sku`.
    pub field: String,
    /// Stable and short: `too-long`.
    pub code: String,
    pub detail: String,
}

/// Why a request was refused (RFC 9457).
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct Document<'a> {
    /// A page that explains the problem.
    #[schema(example = "/problems/out-of-stock")]
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// The problem's stable name.
    #[schema(example = "out-of-stock")]
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
    /// What the kind of problem adds, such as `sku` and `available`.
    #[serde(flatten)]
    #[schema(ignore)]
    members: &'a BTreeMap<String, Value>,
}

impl Problem {
    pub fn new(kind: &'static Kind) -> Self {
        Self(Box::new(Refusal {
            kind,
            detail: None,
            errors: Vec::new(),
            members: BTreeMap::new(),
            limit: None,
            replayed: false,
        }))
    }

    /// One field is at fault.
    pub fn field(kind: &'static Kind, field: &str, code: &str, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(kind);
        problem.0.errors.push(FieldError {
            field: field.to_owned(),
            code: code.to_owned(),
            detail: detail.into(),
        });
        problem
    }

    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Somebody sent too many requests.
    pub fn rate_limited(limit: Standing) -> Self {
        let mut problem = Self::new(&problems::RATE_LIMITED);
        problem.0.limit = Some(limit);
        problem
    }

    /// The fault is ours: an older answer is better than none.
    pub fn is_outage(&self) -> bool {
        self.0.kind.status.is_server_error()
    }

    #[cfg(test)]
    pub fn kind(&self) -> &'static Kind {
        self.0.kind
    }

    #[cfg(test)]
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }
}

/// The field that every answer of a backend has; its absence is the backend's fault.
pub fn present<T>(field: Option<T>) -> Result<T, Problem> {
    field.ok_or_else(|| {
        tracing::error!(
            message = std::any::type_name::<T>(),
            "a backend's answer lacks a field"
        );
        Problem::new(&problems::INTERNAL)
    })
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let known = fault::reason(&status).and_then(|reason| Kind::with_reason(&reason));
        let kind = known.unwrap_or_else(|| kind_of(status.code()));
        let mut problem = Self::new(kind);
        problem.0.replayed = fault::is_replayed(&status);
        if kind.status.is_server_error() {
            tracing::warn!(code = ?status.code(), message = status.message(), "a backend failed");
            return problem;
        }
        if kind.status != StatusCode::UNAUTHORIZED && !status.message().is_empty() {
            problem = problem.with_detail(status.message());
        }
        let errors = fault::fields(&status)
            .into_iter()
            .map(|invalid| FieldError {
                field: invalid.field,
                code: invalid.code,
                detail: invalid.detail,
            });
        problem.0.errors = errors.collect();
        let mut metadata = fault::metadata(&status);
        if let Some(field) = metadata.remove("field") {
            problem.0.errors.push(FieldError {
                field,
                code: kind.slug.to_owned(),
                detail: status.message().to_owned(),
            });
        }
        problem.0.members = members(metadata);
        problem
    }
}

fn kind_of(code: Code) -> &'static Kind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => &problems::INVALID,
        Code::Unauthenticated => &problems::UNAUTHENTICATED,
        Code::PermissionDenied => &problems::FORBIDDEN,
        Code::NotFound => &problems::NOT_FOUND,
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => &problems::CONFLICT,
        Code::Unavailable | Code::ResourceExhausted => &problems::UNAVAILABLE,
        Code::DeadlineExceeded | Code::Cancelled => &problems::DEADLINE_EXCEEDED,
        Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => {
            &problems::INTERNAL
        }
    }
}

/// A refusal's metadata in the contract's names and types. gRPC metadata is text only.
fn members(mut metadata: std::collections::HashMap<String, String>) -> BTreeMap<String, Value> {
    let mut members = BTreeMap::new();
    if let (Some(minor_units), Some(currency)) = (
        metadata
            .remove("total_minor_units")
            .and_then(|text| text.parse::<i64>().ok()),
        metadata.remove("currency"),
    ) {
        let total = serde_json::json!({ "minorUnits": minor_units, "currency": currency });
        members.insert("total".to_owned(), total);
    }
    metadata.retain(|name, _| !DOCUMENT.contains(&name.as_str()));
    for (name, text) in metadata {
        let value = match name.as_str() {
            "available" | "reserved" | "version" => {
                text.parse::<i64>().map_or(Value::Null, Value::from)
            }
            "skus" => text.split(',').map(str::trim).collect(),
            _ => Value::from(text),
        };
        members.insert(camel_case(&name), value);
    }
    members
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Refusal {
            kind,
            detail,
            errors,
            members,
            limit,
            replayed,
        } = *self.0;
        let request_id = Context::current().request_id;
        let document = Document {
            r#type: format!("/problems/{}", kind.slug),
            title: kind.title,
            status: kind.status.as_u16(),
            detail: detail.as_deref(),
            code: kind.slug,
            request_id: request_id.as_deref(),
            trace_id: chassis::trace::trace_id(),
            errors: &errors,
            members: &members,
        };
        // Texts and numbers always serialise.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let headers = [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let mut response = (kind.status, headers, body).into_response();
        response.extensions_mut().insert(kind);
        let headers = response.headers_mut();
        if kind.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if kind.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        if let Some(limit) = limit {
            limit.write(headers);
        }
        with_replayed(response, replayed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out_of_stock() -> Status {
        fault::refuse(
            Code::FailedPrecondition,
            "OUT_OF_STOCK",
            "not enough is left",
            &[
                ("sku", "MUG-1".to_owned()),
                ("available", "2".to_owned()),
                ("order_id", "7".to_owned()),
            ],
        )
    }

    #[test]
    fn a_refusal_keeps_its_reason_and_what_explains_it() {
        let problem = Problem::from(out_of_stock());

        assert_eq!(problem.kind().slug, "out-of-stock");
        assert_eq!(problem.0.members["sku"], "MUG-1");
        assert_eq!(problem.0.members["available"], 2);
        assert_eq!(problem.0.members["orderId"], "7");
    }

    #[test]
    fn a_new_total_is_money() {
        let metadata = [("total_minor_units", "1999"), ("currency", "USD")];
        let metadata = metadata.map(|(name, text)| (name.to_owned(), text.to_owned()));

        let members = members(metadata.into());

        assert_eq!(members["total"]["minorUnits"], 1999);
        assert_eq!(members["total"]["currency"], "USD");
    }

    #[test]
    fn what_failed_inside_stays_inside() {
        let problem = Problem::from(Status::internal("relation \"orders\" does not exist"));

        assert_eq!(problem.0.detail, None);
        assert_eq!(
            problem.into_response().status(),
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }

    #[test]
    fn what_may_come_back_says_when() {
        let response = Problem::from(Status::unavailable("away")).into_response();

        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
