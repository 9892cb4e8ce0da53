use std::time::Duration;

use chassis::Context;
use futures::StreamExt as _;
use storage::Shard;

use super::driver::Driver;
use crate::error::Error;

/// How many overdue orders of a shard are driven at once.
const CONCURRENT_MAX: usize = 8;

/// How many are read at once.
const BATCH: i64 = 64;

/// How often the orders are counted that need an operator.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// How often carts are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(15);

/// Drives on every shard what is overdue, and clears carts away, until shutdown.
pub(crate) fn start(driver: &Driver) {
    let (tasks, shutdown) = (driver.chassis().tasks(), driver.chassis().shutdown());
    for shard in driver.store().cluster.shards() {
        let (worker, swept) = (driver.clone(), shard.clone());
        let poll = Duration::from_millis(driver.config().poll_ms);
        let stop = shutdown.clone();
        tasks.spawn_worker(async move {
            while stop
                .run_until_cancelled(tokio::time::sleep(poll))
                .await
                .is_some()
            {
                if let Err(error) = worker.drive_due(&shard).await {
                    tracing::warn!(shard = shard.name(), %error, "overdue orders were not driven");
                }
            }
        });
        let counting = count(driver.clone(), swept.clone());
        let stop = shutdown.clone();
        tasks.spawn_worker(async move {
            stop.run_until_cancelled(counting).await;
        });
        let (sweeper, stop) = (driver.clone(), shutdown.clone());
        tasks.spawn_worker(async move {
            while stop
                .run_until_cancelled(tokio::time::sleep(SWEEP_EVERY))
                .await
                .is_some()
            {
                if let Err(error) = sweeper.sweep_carts(&swept).await {
                    tracing::warn!(shard = swept.name(), %error, "carts were not cleared away");
                }
            }
        });
    }
}

/// Where a shard says nothing the last figure stays.
async fn count(driver: Driver, shard: Shard) {
    loop {
        if let Ok(count) = driver.store().count_need_operator(&shard).await {
            driver.metrics().set_need_operator(shard.name(), count);
        }
        tokio::time::sleep(COUNT_EVERY).await;
    }
}

impl Driver {
    async fn drive_due(&self, shard: &Shard) -> Result<(), Error> {
        let due = self.store().list_due(shard, BATCH).await?;
        let mut driven = futures::stream::iter(due)
            .map(|order_id| {
                // Each order has a past of its own to be read at.
                Context::default().scope(self.take_over(order_id))
            })
            .buffer_unordered(CONCURRENT_MAX);
        while let Some(result) = driven.next().await {
            if let Err(error) = result {
                tracing::warn!(%error, "an overdue order could not be taken");
            }
        }
        Ok(())
    }

    /// Ends the merges that a dead process left, and deletes what has expired.
    async fn sweep_carts(&self, shard: &Shard) -> Result<(), Error> {
        let limits = self.config().limits();
        for (cart_id, user_id) in self.store().list_stuck_merges(shard).await? {
            self.store()
                .merge_cart(cart_id, None, user_id, limits)
                .await?;
        }
        for cart_id in self.store().list_expired_carts(shard).await? {
            self.store().delete_expired_cart(cart_id).await?;
        }
        Ok(())
    }
}
