use chassis::fault;
use chassis::fault::InvalidField;
use tonic::{Code, Status};
use types::Sku;

/// What can go wrong in the catalogue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a field cannot be accepted")]
    Invalid(Vec<InvalidField>),
    #[error("the id is malformed")]
    InvalidId { field: &'static str },
    #[error("the cursor is not of this list")]
    InvalidCursor,
    #[error("there is no such product")]
    NotFound,
    #[error("the slug is taken")]
    SlugTaken,
    #[error("the SKU belongs to another product")]
    SkuTaken(Sku),
    #[error("the product has another version")]
    VersionMismatch { current: i64 },
    #[error(transparent)]
    Storage(#[from] storage::Error),
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
            Error::InvalidId { field } => {
                let field = [("field", field.to_owned())];
                fault::refuse(Code::InvalidArgument, "INVALID_ID", text, &field)
            }
            Error::InvalidCursor => {
                let field = [("field", "cursor".to_owned())];
                fault::refuse(Code::InvalidArgument, "INVALID_CURSOR", text, &field)
            }
            Error::NotFound => Status::not_found(text),
            Error::SlugTaken => fault::refuse(Code::AlreadyExists, "SLUG_TAKEN", text, &[]),
            Error::SkuTaken(sku) => {
                let sku = [("sku", sku.to_string())];
                fault::refuse(Code::AlreadyExists, "SKU_TAKEN", text, &sku)
            }
            Error::VersionMismatch { current } => {
                let version = [("version", current.to_string())];
                fault::refuse(Code::FailedPrecondition, "VERSION_MISMATCH", text, &version)
            }
            Error::Storage(error) => error.into(),
        }
    }
}
