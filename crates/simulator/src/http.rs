//! The API over HTTP: parse, decide, write down, answer.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    Memory,
    provider::{self, Decision, Money, Operation, Request},
    token::Manner,
};

const KEY_BYTES_MAX: usize = 255;

type Shared = State<Arc<Mutex<Memory>>>;

pub(crate) fn routes(memory: Mutex<Memory>) -> Router {
    Router::new()
        .route("/health", get(async || Json(json!({"status": "ok"}))))
        .route("/v1/authorizations", post(authorize))
        .route("/v1/authorizations/{id}/captures", post(capture))
        .route("/v1/authorizations/{id}/void", post(void))
        .route("/v1/authorizations/{id}/refunds", post(refund))
        .route("/v1/operations/{key}", get(find_operation))
        .route("/v1/charges", get(list_charges))
        .with_state(Arc::new(memory))
}

/// Why a call has no operation to show.
#[derive(Debug)]
enum Error {
    MissingKey,
    Malformed(String),
    NotFound,
    KeyReused,
    /// The caller cannot know what happened; `StatusCode` is 500 or 504.
    Unknown(StatusCode),
}

impl From<provider::Error> for Error {
    fn from(error: provider::Error) -> Self {
        match error {
            provider::Error::KeyReused => Self::KeyReused,
            provider::Error::NotFound => Self::NotFound,
            provider::Error::Failing => Self::Unknown(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::MissingKey => (
                StatusCode::BAD_REQUEST,
                "missing-key",
                "the header Idempotency-Key is needed: 1 to 255 visible characters".to_owned(),
            ),
            Self::Malformed(message) => (StatusCode::BAD_REQUEST, "malformed", message),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "not-found",
                "there is none".to_owned(),
            ),
            Self::KeyReused => (
                StatusCode::CONFLICT,
                "key-reused",
                "the key belongs to another call or another body".to_owned(),
            ),
            Self::Unknown(status) => (status, "unknown", "ask for the key".to_owned()),
        };
        (status, Json(json!({"code": code, "message": message}))).into_response()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authorization {
    amount: Money,
    token: String,
    reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Amount {
    amount: Money,
}

#[derive(Deserialize)]
struct ChargeFilter {
    reference: Option<String>,
}

async fn authorize(
    memory: Shared,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Operation>, Error> {
    let Authorization {
        amount,
        token,
        reference,
    } = parse(&body)?;
    let amount = positive(amount)?;
    submit(
        memory,
        &headers,
        Request::Authorize {
            amount,
            token,
            reference,
        },
    )
    .await
}

async fn capture(
    memory: Shared,
    Path(authorization_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Operation>, Error> {
    let amount = positive(parse::<Amount>(&body)?.amount)?;
    submit(
        memory,
        &headers,
        Request::Capture {
            authorization_id,
            amount,
        },
    )
    .await
}

async fn void(
    memory: Shared,
    Path(authorization_id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Operation>, Error> {
    submit(memory, &headers, Request::Void { authorization_id }).await
}

async fn refund(
    memory: Shared,
    Path(authorization_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Operation>, Error> {
    let amount = positive(parse::<Amount>(&body)?.amount)?;
    submit(
        memory,
        &headers,
        Request::Refund {
            authorization_id,
            amount,
        },
    )
    .await
}

async fn find_operation(
    State(memory): Shared,
    Path(key): Path<String>,
) -> Result<Json<Operation>, Error> {
    let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    let operation = memory
        .provider
        .find_operation(&key)
        .ok_or(Error::NotFound)?;
    Ok(Json(operation.clone()))
}

async fn list_charges(
    State(memory): Shared,
    Query(filter): Query<ChargeFilter>,
) -> Json<serde_json::Value> {
    let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = |reference: &str| {
        filter
            .reference
            .as_deref()
            .is_none_or(|only| only == reference)
    };
    let charges: Vec<_> = memory
        .provider
        .charges()
        .iter()
        .filter(|charge| wanted(&charge.reference))
        .collect();
    Json(json!({ "charges": charges }))
}

async fn submit(
    State(memory): Shared,
    headers: &HeaderMap,
    request: Request,
) -> Result<Json<Operation>, Error> {
    let (operation, manner) = commit(&memory, idempotency_key(headers)?, request)?;
    match manner {
        Manner::AtOnce => {}
        Manner::Late(delay) => tokio::time::sleep(delay).await,
        Manner::Never(delay) => {
            tokio::time::sleep(delay).await;
            return Err(Error::Unknown(StatusCode::GATEWAY_TIMEOUT));
        }
    }
    Ok(Json(operation))
}

/// Decides, writes down and applies as one step, so that a key has one outcome.
fn commit(
    memory: &Mutex<Memory>,
    key: &str,
    request: Request,
) -> Result<(Operation, Manner), Error> {
    let mut guard = memory.lock().unwrap_or_else(PoisonError::into_inner);
    let Memory { provider, journal } = &mut *guard;
    match provider.decide(key, request)? {
        Decision::Repeated(operation) => Ok((operation, Manner::AtOnce)),
        Decision::Fresh(record, manner) => {
            if let Some(journal) = journal {
                journal.append(&record).map_err(|error| {
                    tracing::error!(%error, "state file");
                    Error::Unknown(StatusCode::INTERNAL_SERVER_ERROR)
                })?;
            }
            let operation = record.operation.clone();
            provider.apply(record);
            Ok((operation, manner))
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<&str, Error> {
    headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()))
        .filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or(Error::MissingKey)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Malformed(error.to_string()))
}

fn positive(amount: Money) -> Result<Money, Error> {
    if amount.minor_units > 0 {
        Ok(amount)
    } else {
        Err(Error::Malformed(
            "amount.minorUnits must be greater than zero".to_owned(),
        ))
    }
}
