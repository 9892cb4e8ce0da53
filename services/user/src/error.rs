use chassis::fault::{self, InvalidField};
use tonic::{Code, Status};

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a field cannot be accepted")]
    Invalid(Vec<InvalidField>),
    #[error("an account has this e-mail")]
    EmailTaken,
    /// The same for an unknown e-mail and a wrong password: an account's existence is nobody's business.
    #[error("e-mail and password do not fit")]
    WrongCredentials,
    #[error("the refresh token is not good, or no longer")]
    RefreshRefused,
    #[error("sign in first")]
    NotSignedIn,
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error("no access token could be signed")]
    Signing(#[from] auth::Error),
    #[error("a password could not be hashed")]
    Hashing(#[from] argon2::password_hash::Error),
    #[error("the work on the request broke off")]
    Interrupted,
}

impl Error {
    /// One field, named as the public contract names it.
    pub(crate) fn invalid(field: &str, code: &str, detail: &str) -> Self {
        Self::Invalid(vec![invalid(field, code, detail)])
    }
}

pub(crate) fn invalid(field: &str, code: &str, detail: impl Into<String>) -> InvalidField {
    InvalidField {
        field: field.to_owned(),
        code: code.to_owned(),
        detail: detail.into(),
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Invalid(fields) => fault::invalid_fields(fields),
            Error::EmailTaken => fault::refuse(Code::AlreadyExists, "EMAIL_TAKEN", text, &[]),
            Error::WrongCredentials | Error::RefreshRefused | Error::NotSignedIn => {
                Self::unauthenticated(text)
            }
            Error::NotFound(_) => Self::not_found(text),
            Error::Storage(error) => error.into(),
            Error::Signing(_) | Error::Hashing(_) | Error::Interrupted => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
                Self::internal(text)
            }
        }
    }
}
