//! A client of the public REST API: what a shop built on CloudRetail would use.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
// Longer than an order whose answer was lost may stay without one.
const TRIES_MAX: u32 = 20;
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// One user of the API; signed in after [`Shop::login`].
#[derive(Clone, Debug)]
pub struct Shop {
    base: String,
    http: reqwest::Client,
    token: Option<String>,
}

/// An answer that is no success.
#[derive(Debug)]
pub struct Refusal {
    pub call: String,
    pub status: StatusCode,
    /// The problem document; null where the body is none.
    pub problem: Value,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answered {}: {}",
            self.call, self.status, self.problem
        )
    }
}

impl std::error::Error for Refusal {}

impl Shop {
    /// `base` is the gateway's URL.
    pub fn new(base: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .build()?;
        Ok(Self {
            base,
            http,
            token: None,
        })
    }

    /// Sends every later request as this user.
    pub async fn login(&mut self, email: &str, password: &str) -> anyhow::Result<()> {
        let body = json!({"email": email, "password": password});
        let session = self.post("/api/auth/login", &body).await?;
        self.token = Some(text(&session, "accessToken")?);
        Ok(())
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.insist(&Call::new(Method::GET, path)).await
    }

    /// A write that counts each time: it is tried once.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(&Call::new(Method::POST, path).with_body(body))
            .await
    }

    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.insist(&Call::new(Method::PUT, path).with_body(body))
            .await
    }

    /// A write that has one effect under one key, however often it is sent.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Value> {
        let call = Call::new(Method::POST, path).with_body(body);
        self.insist(&Call {
            key: Some(key),
            ..call
        })
        .await
    }

    /// Makes something that has a name of its own, unless it is there.
    pub async fn create(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let call = Call::new(Method::POST, path).with_body(body);
        match self.insist(&call).await {
            Err(error) if status(&error) == Some(StatusCode::CONFLICT) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Tries again while the shop is too busy: for calls that may be repeated.
    async fn insist(&self, call: &Call<'_>) -> anyhow::Result<Value> {
        let mut tries = 1;
        loop {
            match self.send(call).await {
                Err(error) if tries < TRIES_MAX && is_busy(&error) => tries += 1,
                answer => return answer,
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn send(&self, call: &Call<'_>) -> anyhow::Result<Value> {
        let Call { method, path, .. } = call;
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method.clone(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = call.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        let name = || format!("{method} {path}");
        let answer = request.send().await.with_context(name)?;
        let status = answer.status();
        let body = answer.bytes().await.with_context(name)?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if !status.is_success() {
            let refusal = Refusal {
                call: name(),
                status,
                problem: body,
            };
            return Err(refusal.into());
        }
        Ok(body)
    }
}

/// One request.
struct Call<'a> {
    method: Method,
    path: &'a str,
    key: Option<&'a str>,
    body: Option<&'a Value>,
}

impl<'a> Call<'a> {
    fn new(method: Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            key: None,
            body: None,
        }
    }

    fn with_body(self, body: &'a Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }
}

/// With what status the shop refused; `None` for an error of another kind.
pub(crate) fn status(error: &anyhow::Error) -> Option<StatusCode> {
    error
        .downcast_ref::<Refusal>()
        .map(|refusal| refusal.status)
}

/// Too busy, or busy with this very request, whose answer was lost.
fn is_busy(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refusal>().is_some_and(|refusal| {
        matches!(
            refusal.status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        ) || refusal.problem["code"] == "key-in-progress"
    })
}

/// A text that the answer must have.
pub(crate) fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    value[field]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("the answer has no {field}: {value}"))
}

/// A list that the answer must have.
pub(crate) fn list<'a>(value: &'a Value, field: &str) -> anyhow::Result<&'a Vec<Value>> {
    value[field]
        .as_array()
        .with_context(|| format!("the answer has no {field}: {value}"))
}
