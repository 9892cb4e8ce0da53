//! Words that every crate shares: slots, ids that carry their slot, SKUs, money, countries and pages.

mod country;
pub mod cursor;
mod goods;
mod id;
mod money;
mod page;
mod slot;

pub use country::is_country;
pub use goods::{InvalidSku, InvalidWarehouseId, Sku, WarehouseId};
pub use id::{
    AddressId, AdjustmentId, CartId, CategoryId, EventId, FulfillmentId, InvalidId, OperationId,
    OrderId, PaymentId, ProductId, SessionId, TransferId, UserId,
};
pub use money::{Currency, CurrencyMismatch, InvalidCurrency, Money};
pub use page::{InvalidLimit, Page};
pub use slot::{NaturalKey, Routes, SLOT_COUNT, Slot, normalise};
