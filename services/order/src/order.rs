//! What an order is and what may happen to it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use types::{FulfillmentId, Money, OrderId, PaymentId, ProductId, Sku, Slot, UserId, WarehouseId};

use crate::checkout::{State, Step};
use crate::error::{Error, Invalid};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub(crate) enum OrderStatus {
    Pending,
    Reserved,
    Authorized,
    Confirmed,
    Fulfilled,
    Cancelling,
    Cancelled,
    Rejected,
}

impl OrderStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Reserved => "reserved",
            Self::Authorized => "authorized",
            Self::Confirmed => "confirmed",
            Self::Fulfilled => "fulfilled",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }

    /// Whoever placed the order can be told how it went.
    pub(crate) fn is_decided(self) -> bool {
        !matches!(self, Self::Pending | Self::Reserved | Self::Authorized)
    }
}

/// Why an order was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub(crate) enum Refusal {
    OutOfStock {
        sku: Sku,
        available: i64,
    },
    PaymentDeclined {
        why: String,
    },
    /// Stock or payment could not be had in time.
    TimedOut,
}

impl Refusal {
    /// As history and events name it.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::OutOfStock { .. } => "out-of-stock",
            Self::PaymentDeclined { .. } => "payment-declined",
            Self::TimedOut => "timed-out",
        }
    }
}

/// How many of a line come from one warehouse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) warehouse_id: WarehouseId,
    pub(crate) quantity: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) sku: Sku,
    pub(crate) product_id: ProductId,
    pub(crate) name: String,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) quantity: u32,
    pub(crate) unit_price: Money,
    /// Known once the stock is reserved.
    pub(crate) parts: Vec<Part>,
    pub(crate) fulfilled: u32,
}

impl Line {
    pub(crate) fn total(&self) -> Money {
        let minor_units = self.unit_price.minor_units;
        let total = minor_units.saturating_mul(i64::from(self.quantity));
        Money::new(total, self.unit_price.currency)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) name: String,
    pub(crate) line1: String,
    pub(crate) line2: Option<String>,
    pub(crate) city: String,
    pub(crate) region: Option<String>,
    pub(crate) postal_code: String,
    pub(crate) country: String,
}

const ADDRESS_FIELD_CHARS_MAX: usize = 200;

impl Address {
    /// Names every field at fault as the customer knows it.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let required = [
            ("shippingAddress.name", &self.name),
            ("shippingAddress.line1", &self.line1),
            ("shippingAddress.city", &self.city),
            ("shippingAddress.postalCode", &self.postal_code),
        ];
        let optional = [
            ("shippingAddress.line2", &self.line2),
            ("shippingAddress.region", &self.region),
        ];
        let mut invalid = Vec::new();
        for (field, text) in required {
            if text.trim().is_empty() {
                invalid.push(Invalid::new(field, "required", "must not be empty"));
            }
        }
        let given = optional
            .iter()
            .filter_map(|(field, text)| Some((*field, text.as_ref()?)));
        for (field, text) in required.into_iter().chain(given) {
            if text.chars().count() > ADDRESS_FIELD_CHARS_MAX {
                let detail = format!("at most {ADDRESS_FIELD_CHARS_MAX} characters");
                invalid.push(Invalid::new(field, "too-long", detail));
            }
        }
        if !types::is_country(&self.country) {
            invalid.push(Invalid::new(
                "shippingAddress.country",
                "not-a-country",
                "two upper-case letters of ISO 3166-1 are expected",
            ));
        }
        if invalid.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(invalid))
        }
    }
}

/// What whoever placed the order was told first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: OrderStatus,
    pub(crate) version: i64,
    pub(crate) at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) order_id: OrderId,
    pub(crate) number: String,
    pub(crate) user_id: UserId,
    pub(crate) status: OrderStatus,
    /// What is still to be done; `None`: the order is settled.
    pub(crate) step: Option<Step>,
    pub(crate) needs_operator: bool,
    pub(crate) lines: Vec<Line>,
    pub(crate) total: Money,
    /// `None` once the customer is erased.
    pub(crate) shipping_address: Option<Address>,
    pub(crate) payment_id: PaymentId,
    pub(crate) traceparent: Option<String>,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) answer: Option<Answer>,
    pub(crate) version: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl Order {
    pub(crate) fn state(&self) -> State {
        State {
            status: self.status,
            step: self.step,
        }
    }

    pub(crate) fn skus(&self) -> Vec<Sku> {
        self.lines.iter().map(|line| line.sku.clone()).collect()
    }

    pub(crate) fn now_as_answer(&self) -> Answer {
        Answer {
            status: self.status,
            version: self.version,
            at: self.updated_at,
        }
    }

    /// The order as it was when it was first answered; everything else about it was the same then.
    pub(crate) fn into_answered(mut self, answer: Answer) -> Self {
        self.status = answer.status;
        self.version = answer.version;
        self.updated_at = answer.at;
        self.needs_operator = false;
        for line in &mut self.lines {
            line.fulfilled = 0;
        }
        self
    }

    pub(crate) fn is_partly_fulfilled(&self) -> bool {
        self.lines.iter().any(|line| line.fulfilled > 0)
    }
}

/// One shipment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fulfillment {
    pub(crate) fulfillment_id: FulfillmentId,
    pub(crate) order_id: OrderId,
    pub(crate) items: Vec<ShippedItem>,
    pub(crate) tracking_number: Option<String>,
    pub(crate) created_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShippedItem {
    pub(crate) sku: Sku,
    pub(crate) quantity: u32,
}

/// Counts the items as shipped; without items, all that is left. Answers with what is shipped.
///
/// `quantities` are as the caller gave them, so that a refusal can name them.
pub(crate) fn ship(lines: &mut [Line], wanted: &[(Sku, i64)]) -> Result<Vec<ShippedItem>, Error> {
    let mut items = Vec::new();
    if wanted.is_empty() {
        for line in lines
            .iter_mut()
            .filter(|line| line.fulfilled < line.quantity)
        {
            items.push(ShippedItem {
                sku: line.sku.clone(),
                quantity: line.quantity - line.fulfilled,
            });
            line.fulfilled = line.quantity;
        }
        return Ok(items);
    }
    for (index, (sku, quantity)) in wanted.iter().enumerate() {
        let Some(line) = lines.iter_mut().find(|line| line.sku == *sku) else {
            let field = format!("items[{index}].sku");
            return Err(Invalid::new(field, "not-ordered", "the order has no such SKU").into());
        };
        let left = line.quantity - line.fulfilled;
        let shipped = u32::try_from(*quantity).ok();
        let Some(shipped) = shipped.filter(|shipped| (1..=left).contains(shipped)) else {
            let field = format!("items[{index}].quantity");
            let detail = format!("1 to {left} of {sku} can be shipped");
            return Err(Invalid::new(field, "out-of-range", detail).into());
        };
        line.fulfilled += shipped;
        items.push(ShippedItem {
            sku: sku.clone(),
            quantity: shipped,
        });
    }
    Ok(items)
}

/// Crockford's Base32: no letter can be taken for another or for a digit.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Eight characters: the slot and 30 random bits, so that it tells nothing about volume.
pub(crate) fn number(slot: Slot, random: u32) -> String {
    let bits = (u64::from(slot.get()) << 30) | u64::from(random >> 2);
    let digit = |position: u32| CROCKFORD[(bits >> (5 * position)) as usize & 31];
    (0..8)
        .rev()
        .map(|position| char::from(digit(position)))
        .collect()
}

/// How long to wait after this many attempts: doubling, up to a cap, with a jitter in 0..1 that
/// keeps orders apart that failed together.
pub(crate) fn back_off(attempt: i32, jitter: f64) -> Duration {
    const FIRST: Duration = Duration::from_millis(200);
    const CAP: Duration = Duration::from_secs(8);
    let doublings = attempt.clamp(1, 10).unsigned_abs() - 1;
    let full = FIRST.saturating_mul(1 << doublings).min(CAP);
    full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
