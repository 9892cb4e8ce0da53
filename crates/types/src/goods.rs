use std::fmt;
use std::str::FromStr;

use crate::slot::{Routes, Slot};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SKU has 1 to 64 of the characters A-Z 0-9 . _ -")]
pub struct InvalidSku;

/// A stock keeping unit: what is put into a cart and kept in a warehouse. Upper case.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    sqlx::Type,
)]
#[serde(try_from = "String", into = "String")]
#[sqlx(transparent)]
pub struct Sku(String);

impl Sku {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Sku {
    type Err = InvalidSku;

    /// Lower case is accepted and made upper.
    fn from_str(text: &str) -> Result<Self, InvalidSku> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_ascii_uppercase()))
        } else {
            Err(InvalidSku)
        }
    }
}

impl Routes<Sku> for Sku {
    fn slot(&self) -> Slot {
        self.slot()
    }
}

impl Sku {
    pub fn slot(&self) -> Slot {
        Slot::of_natural_key(&self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a warehouse id has 1 to 32 of the characters a-z 0-9 -")]
pub struct InvalidWarehouseId;

/// A warehouse's short name.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    sqlx::Type,
)]
#[serde(try_from = "String", into = "String")]
#[sqlx(transparent)]
pub struct WarehouseId(String);

impl WarehouseId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WarehouseId {
    type Err = InvalidWarehouseId;

    fn from_str(text: &str) -> Result<Self, InvalidWarehouseId> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidWarehouseId)
        }
    }
}

macro_rules! text_conversions {
    ($name:ident, $error:ident) => {
        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_conversions!(Sku, InvalidSku);
text_conversions!(WarehouseId, InvalidWarehouseId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_is_upper_case_and_bounded() {
        assert_eq!("mug-1.red".parse::<Sku>().unwrap().as_str(), "MUG-1.RED");
        for refused in ["", "mug 1", "mug/1", "m\u{fc}g", &"x".repeat(65)] {
            assert_eq!(refused.parse::<Sku>(), Err(InvalidSku), "{refused}");
        }
    }

    #[test]
    fn a_warehouse_id_is_lower_case_and_bounded() {
        assert!("east-1".parse::<WarehouseId>().is_ok());
        for refused in ["", "East", "a b", &"x".repeat(33)] {
            assert_eq!(refused.parse::<WarehouseId>(), Err(InvalidWarehouseId));
        }
    }
}
