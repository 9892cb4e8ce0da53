use std::sync::Arc;

use async_trait::async_trait;
use chassis::Chassis;
use storage::{Cluster, WriteTx};
use types::Slot;

use crate::member::Member;
use crate::metrics::ConsumerMetrics;
use crate::reaction::Reaction;
use crate::{Config, Error, Received};

/// How a service reacts to the events of others.
#[async_trait]
pub trait Consumer<K>: Send + Sync + 'static {
    /// The slots of the rows that the event changes: one transaction for each; none for an event
    /// that does not matter here. An error means that the event cannot be read: it becomes a dead
    /// letter.
    fn slots(&self, event: &Received) -> Result<Vec<Slot>, Error>;

    /// The effect on one of the slots, in the transaction that also notes the event as seen, so
    /// that it is made once. After an error the event is parked and tried again.
    async fn on_event(&self, tx: &mut WriteTx, event: &Received) -> Result<(), Error>;
}

/// A service's place in its consumer group.
pub struct Consumers;

impl Consumers {
    /// Follows `topics` (names without prefix) in the group `name` until shutdown.
    pub fn start<K: 'static>(
        chassis: &Chassis,
        config: &Config,
        cluster: &Cluster<K>,
        name: &'static str,
        topics: &[&str],
        consumer: Arc<dyn Consumer<K>>,
    ) -> Result<(), Error> {
        let metrics = ConsumerMetrics::register(chassis);
        let reaction = Arc::new(Reaction {
            name,
            inbox_off: config.inbox_off(),
            cluster: cluster.clone(),
            consumer,
            metrics: metrics.clone(),
        });
        let shutdown = chassis.shutdown();
        let retrying = Arc::clone(&reaction).retry_parked(shutdown.clone());
        chassis.tasks().spawn_worker(retrying);
        let topics: Vec<_> = topics.iter().map(|topic| config.topic(topic)).collect();
        let (config, tasks) = (config.clone(), chassis.tasks().clone());
        let join = move || {
            let (reaction, metrics) = (Arc::clone(&reaction), metrics.clone());
            Member::join(&config, &topics, reaction, metrics, tasks.clone())
        };
        let staying = join()?.stay(join, shutdown);
        chassis.tasks().spawn_worker(staying);
        Ok(())
    }
}
