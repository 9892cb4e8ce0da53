use chassis::fault;
use tonic::{Code, Status};

use crate::payment::Refusal;

/// Everything that can go wrong, besides what the provider declines.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no such payment")]
    NotFound,
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error("the payment is in another currency")]
    CurrencyMismatch,
    #[error("less than this is left of the captured amount")]
    RefundExceedsCaptured,
    /// The task that served the request ended before its answer.
    #[error("the work on the request broke off")]
    Interrupted(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl Error {
    /// The constraint that a statement ran into.
    pub(crate) fn constraint(&self) -> Option<&str> {
        match self {
            Self::Storage(error) => error.constraint(),
            _ => None,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::KeyReused => Self::KeyReused,
            Refusal::CurrencyMismatch => Self::CurrencyMismatch,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let refuse = |code, reason| fault::refuse(code, reason, error.to_string(), &[]);
        match error {
            Error::NotFound => Self::not_found(error.to_string()),
            Error::KeyReused => refuse(Code::InvalidArgument, "KEY_REUSED"),
            Error::CurrencyMismatch => refuse(Code::FailedPrecondition, "CURRENCY_MISMATCH"),
            Error::RefundExceedsCaptured => {
                refuse(Code::FailedPrecondition, "REFUND_EXCEEDS_CAPTURED")
            }
            Error::Interrupted(cause) => {
                tracing::error!(
                    error = &cause as &dyn std::error::Error,
                    "a request broke off"
                );
                Self::internal("the work on the request broke off")
            }
            Error::Storage(error) => error.into(),
        }
    }
}
