//! All the SQL.

mod cart_rows;
mod carts;
mod orders;
mod saga;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::types::Json;
use storage::Cluster;
use types::{Money, OrderId, PaymentId, ProductId, Sku, UserId};

use crate::checkout::Step;
use crate::error::Error;
use crate::order::{Address, Answer, Line, Order, OrderStatus, Part, Refusal};

pub(crate) use cart_rows::{Owner, SecretHash};
pub(crate) use orders::{Cursor, Placed, TimelineEntry};
pub(crate) use saga::{Change, Hold, Moved, Task};

#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) cluster: Cluster<UserId>,
    pub(crate) cart_ttl: Duration,
    /// How long a driver has an order to itself.
    pub(crate) lease: Duration,
}

#[derive(sqlx::FromRow)]
struct OrderRow {
    order_id: OrderId,
    user_id: UserId,
    number: String,
    status: OrderStatus,
    step: Option<Step>,
    needs_operator: bool,
    minor_units: i64,
    currency: String,
    shipping_address: Option<Json<Address>>,
    payment_id: PaymentId,
    traceparent: Option<String>,
    refusal: Option<Json<Refusal>>,
    answered_status: Option<OrderStatus>,
    answered_version: Option<i64>,
    answered_at: Option<jiff_sqlx::Timestamp>,
    version: i64,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

#[derive(sqlx::FromRow)]
struct LineRow {
    order_id: OrderId,
    sku: Sku,
    product_id: ProductId,
    name: String,
    options: Json<BTreeMap<String, String>>,
    quantity: i32,
    minor_units: i64,
    currency: String,
    parts: Json<Vec<Part>>,
    fulfilled: i32,
}

impl OrderRow {
    fn into_order(self, lines: Vec<Line>) -> Result<Order, Error> {
        Ok(Order {
            order_id: self.order_id,
            number: self.number,
            user_id: self.user_id,
            status: self.status,
            step: self.step,
            needs_operator: self.needs_operator,
            lines,
            total: money(self.minor_units, &self.currency)?,
            shipping_address: self.shipping_address.map(|address| address.0),
            payment_id: self.payment_id,
            traceparent: self.traceparent,
            refusal: self.refusal.map(|refusal| refusal.0),
            answer: answer(
                self.answered_status,
                self.answered_version,
                self.answered_at,
            ),
            version: self.version,
            created_at: self.created_at.to_jiff(),
            updated_at: self.updated_at.to_jiff(),
        })
    }
}

impl TryFrom<LineRow> for Line {
    type Error = Error;

    fn try_from(row: LineRow) -> Result<Self, Error> {
        Ok(Self {
            sku: row.sku,
            product_id: row.product_id,
            name: row.name,
            options: row.options.0,
            quantity: unsigned(row.quantity)?,
            unit_price: money(row.minor_units, &row.currency)?,
            parts: row.parts.0,
            fulfilled: unsigned(row.fulfilled)?,
        })
    }
}

/// Joins orders with the lines that were read for them.
fn joined(rows: Vec<OrderRow>, line_rows: Vec<LineRow>) -> Result<Vec<Order>, Error> {
    let mut lines: BTreeMap<OrderId, Vec<Line>> = BTreeMap::new();
    for row in line_rows {
        lines.entry(row.order_id).or_default().push(row.try_into()?);
    }
    rows.into_iter()
        .map(|row| {
            let mut lines = lines.remove(&row.order_id).unwrap_or_default();
            // As the order was made: a database's collation is another order.
            lines.sort_by(|a, b| a.sku.cmp(&b.sku));
            row.into_order(lines)
        })
        .collect()
}

/// The three columns are null together.
fn answer(
    status: Option<OrderStatus>,
    version: Option<i64>,
    at: Option<jiff_sqlx::Timestamp>,
) -> Option<Answer> {
    Some(Answer {
        status: status?,
        version: version?,
        at: at?.to_jiff(),
    })
}

fn money(minor_units: i64, currency: &str) -> Result<Money, Error> {
    let currency = currency
        .parse()
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Money::new(minor_units, currency))
}

fn unsigned(column: i32) -> Result<u32, Error> {
    u32::try_from(column).map_err(|error| sqlx::Error::Decode(Box::new(error)).into())
}

/// What fits into an `integer` column; quantities are limited far below.
fn signed(quantity: u32) -> i32 {
    i32::try_from(quantity).unwrap_or(i32::MAX)
}

fn instant(at: Timestamp) -> jiff_sqlx::Timestamp {
    at.to_sqlx()
}

/// PostgreSQL keeps microseconds: an instant that is answered and stored must be cut to them first.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}
