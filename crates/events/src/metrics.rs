use std::sync::atomic::AtomicU64;

use chassis::Chassis;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use rdkafka::statistics::Statistics;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfShard {
    pub(crate) shard: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfPartition {
    topic: String,
    partition: i32,
}

/// What waits in the outboxes.
#[derive(Clone, Default)]
pub(crate) struct OutboxMetrics {
    pub(crate) pending: Family<OfShard, Gauge>,
    pub(crate) oldest_age: Family<OfShard, Gauge<f64, AtomicU64>>,
}

impl OutboxMetrics {
    pub(crate) fn register(chassis: &Chassis) -> Self {
        let metrics = Self::default();
        chassis.register(|registry| {
            registry.register(
                "outbox_pending",
                "Events that Kafka has not acknowledged yet",
                metrics.pending.clone(),
            );
            registry.register(
                "outbox_oldest_age_seconds",
                "Age of the oldest event that Kafka has not acknowledged yet",
                metrics.oldest_age.clone(),
            );
        });
        metrics
    }
}

/// How far behind a consumer is, and what it could not do.
#[derive(Clone, Default)]
pub(crate) struct ConsumerMetrics {
    lag: Family<OfPartition, Gauge>,
    parked: Family<OfShard, Gauge>,
    pub(crate) skipped: Counter,
    pub(crate) dead_letters: Counter,
}

impl ConsumerMetrics {
    pub(crate) fn register(chassis: &Chassis) -> Self {
        let metrics = Self::default();
        chassis.register(|registry| {
            registry.register(
                "kafka_consumer_lag",
                "Records of a partition that are not consumed yet",
                metrics.lag.clone(),
            );
            registry.register(
                "parked_events",
                "Events whose effect failed, and those that wait behind them",
                metrics.parked.clone(),
            );
            registry.register(
                "events_skipped",
                "Events that do not matter to this service",
                metrics.skipped.clone(),
            );
            registry.register(
                "dead_letters",
                "Events that cannot be decoded, or whose effect failed for good",
                metrics.dead_letters.clone(),
            );
        });
        metrics
    }

    pub(crate) fn set_parked(&self, shard: &str, count: i64) {
        let shard = shard.to_owned();
        self.parked.get_or_create(&OfShard { shard }).set(count);
    }

    pub(crate) fn observe(&self, statistics: &Statistics) {
        for topic in statistics.topics.values() {
            for partition in topic.partitions.values() {
                let of = OfPartition {
                    topic: topic.topic.clone(),
                    partition: partition.partition,
                };
                // -1: the partition is another member's, or nothing is known of it yet.
                if partition.consumer_lag_stored >= 0 {
                    self.lag
                        .get_or_create(&of)
                        .set(partition.consumer_lag_stored);
                } else {
                    self.lag.remove(&of);
                }
            }
        }
    }
}

impl rdkafka::ClientContext for ConsumerMetrics {
    fn stats(&self, statistics: Statistics) {
        self.observe(&statistics);
    }
}

impl rdkafka::consumer::ConsumerContext for ConsumerMetrics {}
