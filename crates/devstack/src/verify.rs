//! Whether all shards, services, Kafka and the provider tell one story, and how the platform
//! stands: rows per shard, replication, reads by role.

mod books;
mod census;
mod checks;
mod outside;
mod store;

use std::collections::{HashMap, HashSet};

use types::OrderId;
use uuid::Uuid;

use crate::platform::Platform;
use crate::verify::books::Books;
pub use crate::verify::books::{Charge, Finding};
pub use crate::verify::census::Census;

/// How long a service may take to put things right before that is a finding, in seconds.
pub const GRACE_SECONDS: i64 = 60;

/// Reads everything and checks it; an order may take `grace_seconds` to settle.
///
/// What changes while it is read is not compared, so this may run at any time.
///
/// # Errors
///
/// When a database, Kafka or the provider cannot be read.
pub async fn check(platform: &Platform, grace_seconds: i64) -> anyhow::Result<Vec<Finding>> {
    Ok(read(platform).await?.findings(grace_seconds))
}

/// The same for these orders alone, which must be settled by now.
///
/// # Errors
///
/// When a database, Kafka or the provider cannot be read.
pub async fn check_orders(platform: &Platform, orders: &[OrderId]) -> anyhow::Result<Vec<Finding>> {
    let orders = orders.iter().map(OrderId::uuid).collect();
    Ok(read(platform).await?.findings_of(&orders))
}

/// Charges that hold or keep money for orders that no shard has.
///
/// # Errors
///
/// When a database or the provider cannot be read.
pub async fn strangers(platform: &Platform) -> anyhow::Result<Vec<Charge>> {
    Ok(read(platform).await?.strangers().cloned().collect())
}

/// The trace in which an order was placed; `None` when its shards do not have the order.
///
/// # Errors
///
/// When a shard cannot be read.
pub async fn trace_id(platform: &Platform, order_id: OrderId) -> anyhow::Result<Option<String>> {
    let traceparent = store::find_traceparent(platform, order_id).await?;
    // W3C Trace Context: version-traceid-parentid-flags.
    Ok(traceparent.and_then(|value| value.split('-').nth(1).map(str::to_owned)))
}

/// How many warehouses were told to pick an order.
///
/// # Errors
///
/// When a shard cannot be read.
pub async fn pick_lists(platform: &Platform, order_id: OrderId) -> anyhow::Result<i64> {
    store::count_pick_lists(platform, order_id).await
}

/// Orders and payments are read before and after what they are compared with.
async fn read(platform: &Platform) -> anyhow::Result<Books> {
    let orders_before = store::orders(platform).await?;
    let payments_before = store::payments(platform).await?;
    let (stock, reservations, accounts, charges) = tokio::try_join!(
        store::stock(platform),
        store::reservations(platform),
        store::accounts(platform),
        outside::charges(platform),
    )?;
    let mut payments = store::payments(platform).await?;
    let (orders, lines) = tokio::try_join!(store::orders(platform), store::order_lines(platform))?;
    let mut leftovers = store::leftovers(platform).await?;
    leftovers.extend(outside::dead_letters(platform).await?);

    let versions: HashMap<Uuid, i64> = payments_before
        .iter()
        .map(|payment| (payment.payment_id, payment.version))
        .collect();
    for payment in &mut payments {
        payment.is_steady &= versions.get(&payment.payment_id) == Some(&payment.version);
    }
    let versions: HashMap<Uuid, i64> = orders_before
        .iter()
        .map(|order| (order.order_id, order.version))
        .collect();
    let steady: HashSet<Uuid> = orders
        .iter()
        .filter(|order| versions.get(&order.order_id) == Some(&order.version))
        .map(|order| order.order_id)
        .collect();
    Ok(Books {
        orders,
        steady,
        lines,
        stock,
        reservations,
        payments,
        accounts,
        charges,
        leftovers,
    })
}
