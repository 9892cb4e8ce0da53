//! JSON shapes that several resources share.

use proto::common::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Problem, present};

/// An amount in the currency's smallest unit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Money {
    #[schema(example = 1999)]
    pub minor_units: i64,
    /// ISO 4217.
    #[schema(example = "USD")]
    pub currency: String,
}

impl From<v1::Money> for Money {
    fn from(money: v1::Money) -> Self {
        Self {
            minor_units: money.minor_units,
            currency: money.currency,
        }
    }
}

/// A postal address.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Address {
    pub name: String,
    pub line1: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    pub city: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    pub postal_code: String,
    /// ISO 3166-1 alpha-2.
    #[schema(example = "DE")]
    pub country: String,
}

impl From<v1::Address> for Address {
    fn from(address: v1::Address) -> Self {
        Self {
            name: address.name,
            line1: address.line1,
            line2: address.line2,
            city: address.city,
            region: address.region,
            postal_code: address.postal_code,
            country: address.country,
        }
    }
}

impl From<Address> for v1::Address {
    fn from(address: Address) -> Self {
        Self {
            name: address.name,
            line1: address.line1,
            line2: address.line2,
            city: address.city,
            region: address.region,
            postal_code: address.postal_code,
            country: address.country,
        }
    }
}

/// An instant that every answer of a backend has, as RFC 3339 in UTC.
pub fn instant(at: Option<prost_types::Timestamp>) -> Result<String, Problem> {
    let at = present(at)?;
    present(proto::from_timestamp(at)).map(|at| at.to_string())
}

/// The entity tag of a version.
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// An empty cursor ends a list.
pub fn next_cursor(cursor: String) -> Option<String> {
    (!cursor.is_empty()).then_some(cursor)
}

/// The name of a Protobuf enum value in the contract's letters: `ORDER_STATUS_PENDING` is `pending`.
pub fn word(prefix: &str, name: &str) -> String {
    let word = name.strip_prefix(prefix).unwrap_or(name);
    word.to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enum_value_is_spelt_as_the_contract_does() {
        assert_eq!(word("STOCK_STATUS_", "STOCK_STATUS_IN_STOCK"), "in-stock");
        assert_eq!(word("ORDER_STATUS_", "ORDER_STATUS_PENDING"), "pending");
    }

    #[test]
    fn an_instant_is_rfc_3339_in_utc() {
        let at = prost_types::Timestamp {
            seconds: 1_790_000_000,
            nanos: 500_000_000,
        };

        assert_eq!(instant(Some(at)).unwrap(), "2026-09-21T14:13:20.5Z");
        assert!(instant(None).is_err());
    }
}
