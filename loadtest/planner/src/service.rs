use std::fmt;

use garde::error::{Kind, PathComponentKind};
use serde::{Deserialize, Serialize};

/// A service that scales by pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    Gateway,
    User,
    Product,
    Order,
    Inventory,
    Payment,
}

impl Service {
    pub const ALL: [Self; 6] = [
        Self::Gateway,
        Self::User,
        Self::Product,
        Self::Order,
        Self::Inventory,
        Self::Payment,
    ];

    /// As a `job` of Prometheus and a key of the values.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::User => "user",
            Self::Product => "product",
            Self::Order => "order",
            Self::Inventory => "inventory",
            Self::Payment => "payment",
        }
    }

    /// Whether it has databases.
    pub fn is_backend(self) -> bool {
        self != Self::Gateway
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PathComponentKind for Service {
    fn component_kind() -> Kind {
        Kind::Key
    }
}
