//! Refusals on the wire: a gRPC status with a stable reason (`google.rpc.ErrorInfo`) or the fields
//! at fault (`google.rpc.BadRequest`).

use std::collections::HashMap;

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// One field that cannot be accepted, named as the public contract names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidField {
    pub field: String,
    /// Stable and short: `too-long`, `not-positive`.
    pub code: String,
    pub detail: String,
}

const DOMAIN: &str = "cloudretail";

/// Separates a violation's code from its text: `BadRequest` has one description for both.
const CODE_END: &str = ": ";

/// On a refusal that an earlier request with the same idempotency key got already.
const REPLAYED: &str = "idempotent-replayed";

pub fn invalid_field(field: &str, code: &str, detail: impl Into<String>) -> Status {
    invalid_fields([InvalidField {
        field: field.to_owned(),
        code: code.to_owned(),
        detail: detail.into(),
    }])
}

pub fn invalid_fields(fields: impl IntoIterator<Item = InvalidField>) -> Status {
    let violations: Vec<FieldViolation> = fields
        .into_iter()
        .map(|field| {
            FieldViolation::new(
                field.field,
                format!("{}{CODE_END}{}", field.code, field.detail),
            )
        })
        .collect();
    let names: Vec<&str> = violations.iter().map(|v| v.field.as_str()).collect();
    let message = format!("invalid: {}", names.join(", "));
    Status::with_error_details(
        Code::InvalidArgument,
        message,
        ErrorDetails::with_bad_request(violations),
    )
}

/// A refusal that callers tell apart by its reason, with what they need to explain it.
pub fn refuse(
    code: Code,
    reason: &str,
    detail: impl Into<String>,
    metadata: &[(&str, String)],
) -> Status {
    let metadata: HashMap<String, String> = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    Status::with_error_details(
        code,
        detail,
        ErrorDetails::with_error_info(reason, DOMAIN, metadata),
    )
}

/// Says whether this is the answer to an earlier request with the same idempotency key.
pub fn with_replayed(mut status: Status, replayed: bool) -> Status {
    if replayed {
        let yes = MetadataValue::from_static("true");
        status.metadata_mut().insert(REPLAYED, yes);
    }
    status
}

/// What [`with_replayed`] said.
pub fn is_replayed(status: &Status) -> bool {
    status.metadata().contains_key(REPLAYED)
}

/// The reason of [`refuse`].
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// The metadata of [`refuse`].
pub fn metadata(status: &Status) -> HashMap<String, String> {
    status
        .get_details_error_info()
        .map(|info| info.metadata)
        .unwrap_or_default()
}

/// The fields of [`invalid_fields`].
pub fn fields(status: &Status) -> Vec<InvalidField> {
    let Some(request) = status.get_details_bad_request() else {
        return Vec::new();
    };
    let fields = request.field_violations.into_iter().map(|violation| {
        let (code, detail) = violation
            .description
            .split_once(CODE_END)
            .unwrap_or(("invalid", &violation.description));
        InvalidField {
            code: code.to_owned(),
            detail: detail.to_owned(),
            field: violation.field,
        }
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_reason_and_metadata() {
        let status = refuse(
            Code::FailedPrecondition,
            "OUT_OF_STOCK",
            "not enough",
            &[("sku", "MUG-1".to_owned())],
        );

        assert_eq!(reason(&status).as_deref(), Some("OUT_OF_STOCK"));
        assert_eq!(metadata(&status)["sku"], "MUG-1");
    }

    #[test]
    fn an_invalid_field_keeps_its_name_code_and_detail() {
        let status = invalid_field("quantity", "not-positive", "at least 1: not 0");

        assert_eq!(
            fields(&status),
            [InvalidField {
                field: "quantity".to_owned(),
                code: "not-positive".to_owned(),
                detail: "at least 1: not 0".to_owned(),
            }]
        );
        assert_eq!(reason(&status), None);
    }
}
