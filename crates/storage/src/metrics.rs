use chassis::telemetry::Durations;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What the databases of one service are measured by.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) connections: Family<ConnectionLabels, Gauge>,
    pub(crate) query_seconds: Family<DatabaseLabels, Durations, Buckets>,
    pub(crate) replica_lag_seconds: Family<ReplicaLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    pub(crate) reads: Family<ReadLabels, Counter>,
    pub(crate) slots: Family<SlotLabels, Gauge>,
    pub(crate) fence_conflicts: Family<ShardLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ConnectionLabels {
    pub(crate) shard: String,
    pub(crate) role: &'static str,
    pub(crate) state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DatabaseLabels {
    pub(crate) shard: String,
    pub(crate) role: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReadLabels {
    pub(crate) shard: String,
    pub(crate) role: &'static str,
    pub(crate) need: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReplicaLabels {
    pub(crate) shard: String,
    pub(crate) replica: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SlotLabels {
    pub(crate) shard: String,
    pub(crate) state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ShardLabels {
    pub(crate) shard: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Buckets;

impl MetricConstructor<Durations> for Buckets {
    fn new_metric(&self) -> Durations {
        let bounds = [
            0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
        ];
        Durations::new(bounds.into_iter())
    }
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            connections: Family::default(),
            query_seconds: Family::new_with_constructor(Buckets),
            replica_lag_seconds: Family::default(),
            reads: Family::default(),
            slots: Family::default(),
            fence_conflicts: Family::default(),
        };
        registry.register(
            "db_pool_connections",
            "Connections in use and idle, callers waiting for one, and the most there may be",
            metrics.connections.clone(),
        );
        registry.register(
            "db_query_duration_seconds",
            "Time of a round trip to a database",
            metrics.query_seconds.clone(),
        );
        registry.register(
            "db_replica_lag_seconds",
            "Age of the oldest change that a replica has not replayed",
            metrics.replica_lag_seconds.clone(),
        );
        registry.register(
            "db_reads",
            "Callers' reads by the role that served them and by what they had to see",
            metrics.reads.clone(),
        );
        registry.register(
            "shard_slots",
            "Slots of a shard by their state",
            metrics.slots.clone(),
        );
        registry.register(
            "db_fence_conflicts",
            "Write transactions that met a fenced or moved slot",
            metrics.fence_conflicts.clone(),
        );
        metrics
    }
}

/// The reads of one database, by what they had to see.
pub(crate) struct Reads {
    /// Anything: the caller has seen nothing of the shard.
    pub(crate) any: Counter,
    /// What the caller has seen.
    pub(crate) seen: Counter,
    /// Everything.
    pub(crate) newest: Counter,
}

impl Reads {
    pub(crate) fn new(metrics: &Metrics, shard: &str, role: &'static str) -> Self {
        let counter = |need| {
            let labels = ReadLabels {
                shard: shard.to_owned(),
                role,
                need,
            };
            metrics.reads.get_or_create_owned(&labels)
        };
        Self {
            any: counter("any"),
            seen: counter("seen"),
            newest: counter("newest"),
        }
    }
}

/// Counts one as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    pub(crate) fn one_in(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
