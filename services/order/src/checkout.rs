//! From a cart to an order that is settled: the saga as a pure table.
//!
//! An order is where its status says, and its step says what is still to be done. Until `confirmed`
//! every step can be undone; from there on the order only goes forward, until it is cancelled.

mod change;
mod driver;
mod place;
mod worker;

use std::collections::HashMap;

use types::{CartId, Money, Sku};

use crate::cart::{Cart, Variant};
use crate::error::{Error, Invalid};
use crate::order::{Line, OrderStatus};

pub(crate) use driver::Driver;
pub(crate) use place::Placement;
pub(crate) use worker::start as start_workers;

/// What is to be done next for an order. Each may be done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub(crate) enum Step {
    /// Hold the stock of every line.
    Reserve,
    /// Ask for the money.
    Authorize,
    /// Claim the stock, then take the money.
    Settle,
    /// Give the stock back; no money was asked for, or it was declined.
    Release,
    /// Give stock and money back, however far they came.
    Undo,
}

impl Step {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Authorize => "authorize",
            Self::Settle => "settle",
            Self::Release => "release",
            Self::Undo => "undo",
        }
    }
}

/// Where an order stands. Without a step it is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) status: OrderStatus,
    pub(crate) step: Option<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    StockReserved,
    StockRefused,
    PaymentAuthorized,
    PaymentDeclined,
    /// No result came in time, or too little of the hold is left.
    TimedOut,
    Settled,
    Undone,
    CancelRequested,
    /// Everything has left the warehouses.
    Shipped,
    /// Money was authorized or taken for an order that has ended without it.
    LateMoney,
}

impl State {
    pub(crate) const fn new(status: OrderStatus, step: Option<Step>) -> Self {
        Self { status, step }
    }

    /// `None` means late or repeated, and changes nothing.
    pub(crate) fn after(self, event: Event) -> Option<Self> {
        use Event as E;
        use OrderStatus as S;
        let next = match (self.status, self.step, event) {
            (S::Pending, Some(Step::Reserve), E::StockReserved) => {
                Self::new(S::Reserved, Some(Step::Authorize))
            }
            (S::Pending, Some(Step::Reserve), E::StockRefused | E::TimedOut)
            | (S::Reserved, Some(Step::Authorize), E::PaymentDeclined) => {
                Self::new(S::Rejected, Some(Step::Release))
            }
            (S::Reserved, Some(Step::Authorize), E::PaymentAuthorized) => {
                Self::new(S::Confirmed, Some(Step::Settle))
            }
            (S::Reserved, Some(Step::Authorize), E::TimedOut) => {
                Self::new(S::Rejected, Some(Step::Undo))
            }
            (S::Confirmed, Some(Step::Settle), E::Settled) => Self::new(S::Confirmed, None),
            (S::Confirmed, None, E::Shipped) => Self::new(S::Fulfilled, None),
            (S::Pending | S::Reserved | S::Confirmed, _, E::CancelRequested) => {
                Self::new(S::Cancelling, Some(Step::Undo))
            }
            (S::Rejected, Some(Step::Release | Step::Undo), E::Undone) => {
                Self::new(S::Rejected, None)
            }
            (S::Cancelling | S::Cancelled, Some(Step::Undo), E::Undone) => {
                Self::new(S::Cancelled, None)
            }
            (S::Rejected | S::Cancelled, None | Some(Step::Release), E::LateMoney) => {
                Self::new(self.status, Some(Step::Undo))
            }
            _ => return None,
        };
        Some(next)
    }
}

/// Every status that a change passes through, the last one included: history shows them all.
pub(crate) fn passed(from: OrderStatus, to: OrderStatus) -> &'static [OrderStatus] {
    use OrderStatus as S;
    match (from, to) {
        (S::Reserved, S::Confirmed) => &[S::Authorized, S::Confirmed],
        (_, S::Reserved) => &[S::Reserved],
        (S::Confirmed, S::Confirmed)
        | (S::Rejected, S::Rejected)
        | (S::Cancelled, S::Cancelled) => &[],
        (_, S::Rejected) => &[S::Rejected],
        (_, S::Cancelling) => &[S::Cancelling],
        (_, S::Cancelled) => &[S::Cancelled],
        (_, S::Fulfilled) => &[S::Fulfilled],
        _ => &[],
    }
}

/// What an order is made of: a cart's lines at today's prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) cart_id: CartId,
    pub(crate) cart_version: i64,
    pub(crate) lines: Vec<Line>,
    pub(crate) total: Money,
}

/// Prices the cart. Without an expected total, the prices that the customer saw last must still hold.
pub(crate) fn draft(
    cart: Cart,
    variants: &HashMap<Sku, Variant>,
    expected_total: Option<Money>,
) -> Result<Draft, Error> {
    let cart_id = cart.cart_id.filter(|_| !cart.items.is_empty());
    let cart_id = cart_id.ok_or(Error::CartEmpty)?;
    let (mut today, mut changed) = (cart.clone(), false);
    for item in &mut today.items {
        let variant = variants.get(&item.sku).filter(|variant| variant.active);
        let variant = variant.ok_or_else(|| Error::UnknownSku(item.sku.clone()))?;
        changed |= variant.price != item.unit_price;
        item.unit_price = variant.price;
        item.name.clone_from(&variant.name);
        item.options.clone_from(&variant.options);
    }
    let total = today
        .subtotal()
        .ok_or_else(|| Invalid::new("items", "total-too-large", "the total cannot be counted"))?;
    let agreed = match expected_total {
        Some(expected) => expected == total,
        None => !changed,
    };
    if !agreed {
        return Err(Error::PriceChanged {
            total,
            cart: Box::new(today),
        });
    }
    let lines = today.items.into_iter().map(|item| Line {
        sku: item.sku,
        product_id: item.product_id,
        name: item.name,
        options: item.options,
        quantity: item.quantity,
        unit_price: item.unit_price,
        parts: Vec::new(),
        fulfilled: 0,
    });
    let mut lines: Vec<Line> = lines.collect();
    lines.sort_by(|a, b| a.sku.cmp(&b.sku));
    Ok(Draft {
        cart_id,
        cart_version: cart.version,
        lines,
        total,
    })
}

#[cfg(test)]
mod tests;
