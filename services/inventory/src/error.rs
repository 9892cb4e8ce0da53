use chassis::fault;
use tonic::{Code, Status};

/// Why inventory could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error("the warehouse has no stock of the SKU")]
    NoStock,
    #[error("the stock has another version")]
    VersionMismatch,
    #[error("orders hold {reserved}")]
    BelowReserved { reserved: i64 },
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error("a request with this idempotency key is under way")]
    KeyInProgress,
    #[error("not a cursor of this list")]
    InvalidCursor,
    #[error("a stored answer cannot be read")]
    StoredAnswer(#[from] serde_json::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<Error> for events::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Storage(error) => Self::Storage(error),
            error => Self::reaction(error),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Storage(error) => error.into(),
            Error::NoStock => Self::not_found(detail),
            Error::VersionMismatch => {
                fault::refuse(Code::FailedPrecondition, "VERSION_MISMATCH", detail, &[])
            }
            Error::BelowReserved { reserved } => fault::refuse(
                Code::FailedPrecondition,
                "BELOW_RESERVED",
                detail,
                &[("reserved", reserved.to_string())],
            ),
            Error::KeyReused => fault::refuse(Code::InvalidArgument, "KEY_REUSED", detail, &[]),
            Error::KeyInProgress => {
                fault::refuse(Code::FailedPrecondition, "KEY_IN_PROGRESS", detail, &[])
            }
            Error::InvalidCursor => {
                let field = [("field", "cursor".to_owned())];
                fault::refuse(Code::InvalidArgument, "INVALID_CURSOR", detail, &field)
            }
            Error::StoredAnswer(error) => {
                tracing::error!(%error, "a stored answer cannot be read");
                Self::internal(detail)
            }
        }
    }
}
