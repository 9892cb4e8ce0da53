//! What is stored, and how it grows.

use crate::capacity::{Capacity, Measured};

pub(crate) const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
const SECONDS_PER_MONTH: f64 = 730.0 * 3600.0;

/// One copy of everything, so many months from now.
pub(crate) fn stored_gib(capacity: &Capacity, measured: &Measured, months: u32) -> f64 {
    let added = (0..months).map(|month| gib_in_month(capacity, measured, f64::from(month)));
    capacity.data.stored_gib + added.sum::<f64>()
}

/// What that month adds: what is said, or what the orders need where that is more.
fn gib_in_month(capacity: &Capacity, measured: &Measured, month: f64) -> f64 {
    let orders = mean_orders(capacity, measured, month) * SECONDS_PER_MONTH;
    capacity
        .data
        .gib_per_month
        .max(orders * capacity.data.bytes_per_order / GIB)
}

/// Orders a second over a whole day.
pub(crate) fn mean_orders(capacity: &Capacity, measured: &Measured, months: f64) -> f64 {
    let load = &capacity.load;
    load.ordinary(months) * load.mean_share() * measured.orders_per_request
}
