//! Somebody at the public REST API who looks at the whole answer: status, headers and bytes.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use devstack::platform::Platform;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::stall::random;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything that was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// `Null` where the body is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    /// The body of an answer with this status.
    ///
    /// # Panics
    /// When it has another one.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{body}");
        self.json()
    }

    /// The problem document of a refusal.
    ///
    /// # Panics
    /// When it is another one, or none as the contract describes it.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{problem}"
        );
        assert_eq!(problem["type"], format!("/problems/{code}"), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["title"].is_string(), "{problem}");
        assert_eq!(
            problem["requestId"],
            self.header("x-request-id"),
            "{problem}"
        );
        let trace_id = problem["traceId"].as_str().unwrap_or_default();
        assert_eq!(trace_id.len(), 32, "{problem}");
        problem
    }

    /// As [`Self::expect_problem`], of one field.
    ///
    /// # Panics
    /// As [`Self::expect_problem`], and when the field is not the first that is named.
    #[track_caller]
    pub fn expect_fault(&self, code: &str, field: &str) {
        let problem = self.expect_problem(422, code);
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
}

/// A guest, a customer or a member of staff.
#[derive(Clone, Debug)]
pub struct Visitor {
    base: String,
    http: reqwest::Client,
    pub email: String,
    pub password: String,
    pub access_token: Option<String>,
    pub refresh_token: String,
    pub cart_token: Option<String>,
}

impl Visitor {
    pub fn guest(platform: &Platform) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .build()?;
        Ok(Self {
            base: platform.gateway_url(),
            http,
            email: format!("customer-{:016x}@example.com", random()),
            password: format!("{:032x}", random()),
            access_token: None,
            refresh_token: String::new(),
            cart_token: None,
        })
    }

    /// Registers and logs in.
    pub async fn customer(platform: &Platform) -> anyhow::Result<Self> {
        let mut customer = Self::guest(platform)?;
        customer.register().await?.expect(201);
        customer.log_in().await?.expect(200);
        Ok(customer)
    }

    /// The platform's staff account.
    pub async fn staff(platform: &Platform) -> anyhow::Result<Self> {
        let account: Value = serde_json::from_slice(&std::fs::read(platform.home.staff())?)?;
        let text = |field: &str| account[field].as_str().map(str::to_owned).context("a text");
        let mut staff = Self {
            email: text("email")?,
            password: text("password")?,
            ..Self::guest(platform)?
        };
        staff.log_in().await?.expect(200);
        Ok(staff)
    }

    pub async fn register(&self) -> anyhow::Result<Answer> {
        let body = json!({"email": self.email, "password": self.password, "name": "A Customer"});
        self.post("/api/users", &body).await
    }

    /// Is signed in from then on, if it succeeds.
    pub async fn log_in(&mut self) -> anyhow::Result<Answer> {
        let body = json!({"email": self.email, "password": self.password});
        let answer = self.post("/api/auth/login", &body).await?;
        self.keep_tokens(&answer);
        Ok(answer)
    }

    /// Goes on with the new tokens, if it succeeds.
    pub async fn refresh(&mut self) -> anyhow::Result<Answer> {
        let body = json!({"refreshToken": self.refresh_token});
        let answer = self.post("/api/auth/refresh", &body).await?;
        self.keep_tokens(&answer);
        Ok(answer)
    }

    fn keep_tokens(&mut self, answer: &Answer) {
        let body = answer.json();
        let text = |field: &str| body[field].as_str().map(str::to_owned);
        if let (Some(access_token), Some(refresh_token)) =
            (text("accessToken"), text("refreshToken"))
        {
            self.access_token = Some(access_token);
            self.refresh_token = refresh_token;
        }
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        Self::answer(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        Self::answer(self.request(Method::POST, path).json(body)).await
    }

    pub async fn send(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Answer> {
        Self::answer(self.request(method, path).json(body)).await
    }

    /// A write that may be repeated under the same key.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Answer> {
        let request = self
            .request(Method::POST, path)
            .header("idempotency-key", key);
        Self::answer(request.json(body)).await
    }

    /// A request with the visitor's tokens.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.access_token {
            request = request.bearer_auth(token);
        }
        if let Some(token) = &self.cart_token {
            request = request.header("x-cart-token", token);
        }
        request
    }

    pub async fn answer(request: RequestBuilder) -> anyhow::Result<Answer> {
        let answer = request.send().await?;
        Ok(Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.bytes().await?,
        })
    }
}
