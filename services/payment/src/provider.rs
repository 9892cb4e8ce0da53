//! Who really moves the money.

mod simulator;

use async_trait::async_trait;
use types::Money;

pub(crate) use simulator::Simulator;

/// A payment provider that keeps what became of each idempotency key.
#[async_trait]
pub(crate) trait Provider: Send + Sync + 'static {
    /// Has the command carried out, at most once for each key.
    async fn submit(&self, key: &str, command: &Command<'_>) -> Result<Answer, NoAnswer>;

    /// What became of the key; `None` where nothing has arrived under it yet.
    async fn find(&self, key: &str) -> Result<Option<Answer>, NoAnswer>;
}

/// What the provider is to do. The same key goes with the same command for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command<'a> {
    Authorize {
        amount: Money,
        token: &'a str,
        /// Our name for what is paid.
        reference: &'a str,
    },
    Capture {
        authorization: &'a str,
        amount: Money,
    },
    Void {
        authorization: &'a str,
    },
    Refund {
        authorization: &'a str,
        amount: Money,
    },
}

/// What the provider has decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// With the provider's name for the authorization.
    Succeeded {
        provider_ref: String,
    },
    Declined {
        reason: String,
    },
}

/// The outcome is unknown: the effect may have happened, or may happen yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("the provider could not be heard")]
    Transport(#[from] reqwest::Error),
    #[error("the provider answered {0}")]
    Status(reqwest::StatusCode),
    #[error("the provider took too long")]
    Late(#[from] tokio::time::error::Elapsed),
}
