//! What an order holds or has taken of a SKU.

use jiff::Timestamp;
use types::{OrderId, Sku, WarehouseId};

/// A wish for units of one SKU for one order.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) order_id: OrderId,
    pub(crate) sku: Sku,
    pub(crate) quantity: i64,
}

/// Units of a SKU that come from one warehouse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) warehouse_id: WarehouseId,
    pub(crate) quantity: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reserved {
    Held {
        expires_at: Timestamp,
        parts: Vec<Part>,
    },
    OutOfStock {
        available: i64,
    },
    UnknownSku,
    /// A release came first.
    Released,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum Claim {
    Claimed,
    Expired,
    Released,
    Unknown,
}
