//! The built-in provider over its HTTP API; see `crates/simulator`.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use types::Money;

use super::{Answer, Command, NoAnswer, Provider};

/// How a refusal of the call itself is told: not of the payment, so it has no reason of its own.
const NOT_ACCEPTED: &str = "not-accepted";

pub(crate) struct Simulator {
    client: Client,
    url: Url,
}

#[derive(Serialize)]
struct Authorization<'a> {
    amount: Money,
    token: &'a str,
    reference: &'a str,
}

#[derive(Serialize)]
struct Amount {
    amount: Money,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    status: Status,
    authorization_id: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Succeeded,
    Declined,
}

impl From<Operation> for Answer {
    fn from(operation: Operation) -> Self {
        match operation.status {
            Status::Succeeded => Self::Succeeded {
                provider_ref: operation.authorization_id.unwrap_or_default(),
            },
            Status::Declined => Self::Declined {
                reason: operation.reason.unwrap_or_else(|| NOT_ACCEPTED.to_owned()),
            },
        }
    }
}

impl Simulator {
    /// `timeout` bounds each call, from the connection to the last byte of the answer.
    pub(crate) fn new(url: Url, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = Client::builder().timeout(timeout).build()?;
        Ok(Self { client, url })
    }

    fn post(&self, path: &[&str]) -> RequestBuilder {
        self.client.post(self.at(path))
    }

    fn at(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        url
    }

    fn request(&self, command: &Command<'_>) -> RequestBuilder {
        const AUTHORIZATIONS: &str = "authorizations";
        match *command {
            Command::Authorize {
                amount,
                token,
                reference,
            } => self.post(&[AUTHORIZATIONS]).json(&Authorization {
                amount,
                token,
                reference,
            }),
            Command::Capture {
                authorization,
                amount,
            } => self
                .post(&[AUTHORIZATIONS, authorization, "captures"])
                .json(&Amount { amount }),
            Command::Void { authorization } => self.post(&[AUTHORIZATIONS, authorization, "void"]),
            Command::Refund {
                authorization,
                amount,
            } => self
                .post(&[AUTHORIZATIONS, authorization, "refunds"])
                .json(&Amount { amount }),
        }
    }
}

#[async_trait]
impl Provider for Simulator {
    async fn submit(&self, key: &str, command: &Command<'_>) -> Result<Answer, NoAnswer> {
        let request = self.request(command).header("idempotency-key", key);
        let response = request.send().await?;
        match response.status() {
            StatusCode::OK => decided(response).await,
            // Refused before anything was done under the key.
            status @ (StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) => {
                tracing::error!(%status, key, "the provider does not accept a call");
                Ok(Answer::Declined {
                    reason: NOT_ACCEPTED.to_owned(),
                })
            }
            status => Err(NoAnswer::Status(status)),
        }
    }

    async fn find(&self, key: &str) -> Result<Option<Answer>, NoAnswer> {
        let url = self.at(&["operations", key]);
        let response = self.client.get(url).send().await?;
        match response.status() {
            StatusCode::OK => decided(response).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(NoAnswer::Status(status)),
        }
    }
}

async fn decided(response: Response) -> Result<Answer, NoAnswer> {
    Ok(response.json::<Operation>().await?.into())
}
