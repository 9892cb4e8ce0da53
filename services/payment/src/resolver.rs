//! Workers: operations without an outcome are settled, and money in limbo is measured.

use std::time::Duration;

use chassis::{Chassis, Context};
use futures::{StreamExt as _, stream};
use storage::{Cluster, Shard};
use tokio::time::sleep;
use types::UserId;

use crate::error::Error;
use crate::metrics::Metrics;
use crate::operation::Operations;
use crate::store;

/// How long one operation may be worked on at a time.
const LIMIT: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 8;
const MEASURE_EVERY: Duration = Duration::from_secs(10);

/// Settles what is due on every shard, until shutdown.
pub(crate) fn start(
    chassis: &Chassis,
    cluster: &Cluster<UserId>,
    operations: &Operations,
    interval: Duration,
) {
    for shard in cluster.shards() {
        let (shutdown, operations) = (chassis.shutdown(), operations.clone());
        chassis.tasks().spawn_worker(async move {
            while !shutdown.is_cancelled() {
                let context = Context::for_worker("payment", None, LIMIT);
                if let Err(error) = context.scope(settle_due(&shard, &operations)).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        error,
                        shard = shard.name(),
                        "operations cannot be looked for"
                    );
                }
                tokio::select! {
                    () = sleep(interval) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        });
    }
}

async fn settle_due(shard: &Shard, operations: &Operations) -> Result<(), Error> {
    let due = store::list_due(shard).await?;
    stream::iter(due)
        .for_each_concurrent(AT_ONCE, |operation_id| async move {
            let context = Context::for_worker("payment", None, LIMIT);
            if let Err(error) = context.scope(operations.resolve(operation_id)).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, operation.id = %operation_id, "not settled yet");
            }
        })
        .await;
    Ok(())
}

/// Keeps the gauge `money_in_limbo`, until shutdown.
pub(crate) fn start_measuring(
    chassis: &Chassis,
    cluster: &Cluster<UserId>,
    metrics: &Metrics,
    limbo_after_s: u32,
) {
    let shards: Vec<Shard> = cluster.shards().collect();
    let (shutdown, metrics) = (chassis.shutdown(), metrics.clone());
    chassis.tasks().spawn_worker(async move {
        while !shutdown.is_cancelled() {
            let mut held = Vec::new();
            for shard in &shards {
                let context = Context::for_worker("payment", None, LIMIT);
                match context.scope(store::sum_limbo(shard, limbo_after_s)).await {
                    Ok(limbo) => held.extend(limbo),
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, shard = shard.name(), "limbo is not measured");
                    }
                }
            }
            metrics.set_limbo(&held);
            tokio::select! {
                () = sleep(MEASURE_EVERY) => {}
                () = shutdown.cancelled() => {}
            }
        }
    });
}
