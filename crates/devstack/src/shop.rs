//! A client of the public REST API: what a shop built on CloudRetail would use.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

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
        self.send(Method::GET, path, |request| request).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, |request| request.json(body))
            .await
    }

    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::PUT, path, |request| request.json(body))
            .await
    }

    /// A write that may be repeated under the same key.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Value> {
        let keyed = |request: RequestBuilder| request.header("Idempotency-Key", key).json(body);
        self.send(Method::POST, path, keyed).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> anyhow::Result<Value> {
        let call = format!("{method} {path}");
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = fill(request).send().await.with_context(|| call.clone())?;
        let status = answer.status();
        let body = answer.bytes().await.with_context(|| call.clone())?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if !status.is_success() {
            let problem = body;
            return Err(Refusal {
                call,
                status,
                problem,
            }
            .into());
        }
        Ok(body)
    }
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
