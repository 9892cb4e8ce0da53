//! One customer's way through the shop over public REST, and proof that every part of the
//! platform agrees on the order.

mod customer;
mod events;
mod mail;
mod receipt;

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt, stream};
use types::OrderId;

use crate::platform::Platform;
use crate::walk::customer::Customer;
pub use crate::walk::customer::Placed;
use crate::walk::events::EventLog;
pub use crate::walk::receipt::Receipt;
use crate::{trace, verify, wait};

const CONCURRENCY: usize = 8;
const AGREE_LIMIT: Duration = Duration::from_secs(30);

/// How many customers, and how they pay.
#[derive(Clone, Debug)]
pub struct Options {
    pub count: usize,
    /// The payment token, see the simulator's README.
    pub token: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            count: 1,
            token: "tok_ok".to_owned(),
        }
    }
}

/// Steps with the time that each took.
#[derive(Clone, Debug, Default)]
pub struct Timings(pub Vec<(&'static str, Duration)>);

impl Timings {
    async fn measure<T>(
        &mut self,
        step: &'static str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let start = Instant::now();
        let done = work.await.context(step)?;
        self.0.push((step, start.elapsed()));
        Ok(done)
    }
}

/// Places the orders and checks them.
///
/// # Errors
///
/// When an order is not confirmed, or some part of the platform does not agree on it.
pub async fn run(platform: &Platform, options: &Options) -> anyhow::Result<Receipt> {
    let log = EventLog::mark(platform).await?;
    let started = Instant::now();
    let walks = stream::iter(0..options.count).map(|number| async move {
        let mut timings = Timings::default();
        let mut customer = timings
            .measure("register and log in", Customer::register(platform))
            .await?;
        let placed = customer.buy(&options.token, number, &mut timings).await?;
        anyhow::Ok((placed, timings))
    });
    let orders: Vec<(Placed, Timings)> = walks.buffer_unordered(CONCURRENCY).try_collect().await?;
    let took = started.elapsed();
    let checked = Instant::now();
    let placed: Vec<&Placed> = orders.iter().map(|(placed, _)| placed).collect();
    let records = log.published(&placed).await?;
    let order_ids: Vec<OrderId> = placed.iter().map(|order| order.order_id).collect();
    agree(platform, &order_ids).await?;
    let mut traces = Vec::new();
    let mut mails = Vec::new();
    for order in &placed {
        traces.push(trace::whole(platform, &order.trace_id).await?.len());
        mails.push(mail::find(platform, &order.number).await?);
    }
    Ok(Receipt {
        orders,
        took,
        checks_took: checked.elapsed(),
        records,
        spans: traces,
        mails,
    })
}

/// Waits until stock, money and consumers agree on every one of the orders.
async fn agree(platform: &Platform, orders: &[OrderId]) -> anyhow::Result<()> {
    wait::until("agreement on the orders", AGREE_LIMIT, async || {
        for order_id in orders {
            if verify::pick_lists(platform, *order_id).await? == 0 {
                bail!("order {order_id} has no pick list");
            }
        }
        match verify::check_orders(platform, orders).await?.first() {
            None => Ok(()),
            Some(finding) => bail!("{finding}"),
        }
    })
    .await
}
