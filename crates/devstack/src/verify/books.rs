//! What all shards and the provider say at one time.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use uuid::Uuid;

/// A broken promise, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The invariant's id.
    pub invariant: &'static str,
    /// The order that it is about, when it is about one.
    pub order_id: Option<Uuid>,
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// An order with what its customer must get for it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Order {
    pub order_id: Uuid,
    pub status: String,
    pub minor_units: i64,
    pub version: i64,
    pub has_timer: bool,
    pub idle_seconds: i64,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct OrderLine {
    pub order_id: Uuid,
    pub sku: String,
    pub quantity: i64,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Stock {
    pub sku: String,
    pub warehouse_id: String,
    pub on_hand: i64,
    pub reserved: i64,
    pub backorder_limit: i64,
    /// What orders hold, by their reservations.
    pub held: i64,
}

/// What an order has of a SKU over all warehouses; nothing for a tombstone.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Reservation {
    pub order_id: Uuid,
    pub sku: String,
    pub state: String,
    pub quantity: i64,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Payment {
    pub payment_id: Uuid,
    pub order_id: Uuid,
    pub status: String,
    pub authorized: i64,
    pub captured: i64,
    pub refunded: i64,
    pub version: i64,
    /// How many captures succeeded.
    pub captures: i64,
    /// No operation's outcome is open, and it did not change while the provider was asked.
    pub is_steady: bool,
}

/// A ledger account: its stored balance and the fold of its transfers.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Account {
    pub slot: i16,
    pub kind: String,
    pub currency: String,
    pub balance: i64,
    pub folded: i64,
}

/// A charge as the provider knows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Charge {
    pub authorization_id: String,
    pub reference: String,
    pub currency: String,
    pub authorized: i64,
    pub captured: i64,
    pub refunded: i64,
    pub voided: bool,
}

/// Rows that are gone when all is well.
#[derive(Clone, Debug)]
pub struct Leftover {
    pub what: String,
    pub count: i64,
}

/// Everything that must agree.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Every order, as it was after the rest was read.
    pub orders: Vec<Order>,
    /// The orders that did not change while the rest was read.
    pub steady: HashSet<Uuid>,
    pub lines: Vec<OrderLine>,
    pub stock: Vec<Stock>,
    pub reservations: Vec<Reservation>,
    pub payments: Vec<Payment>,
    pub accounts: Vec<Account>,
    pub charges: Vec<Charge>,
    pub leftovers: Vec<Leftover>,
}

impl Books {
    /// Charges that hold or keep money for orders that no shard has, as after a restore.
    pub fn strangers(&self) -> impl Iterator<Item = &Charge> {
        let orders = self.orders.iter().map(|order| order.order_id);
        let payments = self.payments.iter().map(|payment| payment.order_id);
        let known: HashSet<String> = orders.chain(payments).map(|id| id.to_string()).collect();
        self.charges
            .iter()
            .filter(|charge| charge.has_money())
            .filter(move |charge| !known.contains(&charge.reference))
    }
}

impl Charge {
    fn has_money(&self) -> bool {
        match self.captured {
            0 => !self.voided,
            captured => captured > self.refunded,
        }
    }
}

impl Order {
    /// As `decisions.md` defines it: an end or the pivot, and nothing left to do.
    pub fn is_settled(&self) -> bool {
        !self.has_timer && (self.is_sold() || self.is_undone())
    }

    pub(crate) fn is_sold(&self) -> bool {
        matches!(self.status.as_str(), "confirmed" | "fulfilled")
    }

    pub(crate) fn is_undone(&self) -> bool {
        matches!(self.status.as_str(), "cancelled" | "rejected")
    }
}
