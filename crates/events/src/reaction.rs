use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::context::Context;
use storage::{Cluster, Shard, WriteTx};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use types::Slot;

use crate::inbox::{self, Admission};
use crate::metrics::ConsumerMetrics;
use crate::parked::{self, Due};
use crate::{Consumer, Error, Received, trace};

/// How long one event may take; later it is parked or, with a shard away, tried again.
const WITHIN: Duration = Duration::from_secs(30);
const LOOK_FOR_DUE_EVERY: Duration = Duration::from_millis(500);
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Brings events into effect: once, in the order of their key, or parked until they can be.
pub(crate) struct Reaction<K> {
    pub(crate) name: &'static str,
    pub(crate) inbox_off: bool,
    pub(crate) cluster: Cluster<K>,
    pub(crate) consumer: Arc<dyn Consumer<K>>,
    pub(crate) metrics: ConsumerMetrics,
}

impl<K: 'static> Reaction<K> {
    /// Afterwards the event has had its effect or is parked, in each of its slots. An error means
    /// that a shard was out of reach: to be called again.
    pub(crate) async fn settle(
        &self,
        topic: &str,
        event: &Received,
        mut slots: Vec<Slot>,
    ) -> Result<(), Error> {
        slots.sort_unstable();
        slots.dedup();
        let span = self.span(topic, event);
        let settling = async {
            for slot in slots {
                self.settle_in(slot, event).await?;
            }
            Ok(())
        };
        let context = Context {
            trace: trace::cause(event),
            ..Context::for_worker(self.name, None, WITHIN)
        };
        context.scope(settling.instrument(span)).await
    }

    async fn settle_in(&self, slot: Slot, event: &Received) -> Result<(), Error> {
        let _place = self.cluster.shard(&slot).reaction_place().await;
        let mut tx = self.cluster.begin_in(slot).await?;
        match self.admit(&mut tx, event).await? {
            Admission::Repeated => tx.rollback().await,
            Admission::Behind => {
                let reason = "an earlier event of the key is parked";
                parked::park(&mut tx, self.name, event, 0, reason).await?;
                tx.commit().await?;
            }
            Admission::First => match self.consumer.on_event(&mut tx, event).await {
                Ok(()) => {
                    tx.commit().await?;
                }
                Err(error) => {
                    tx.rollback().await;
                    self.park(slot, event, &error).await?;
                }
            },
        }
        Ok(())
    }

    async fn admit(&self, tx: &mut WriteTx, event: &Received) -> Result<Admission, sqlx::Error> {
        match inbox::admit(tx, self.name, event).await? {
            Admission::Repeated if self.inbox_off => Ok(Admission::First),
            admission => Ok(admission),
        }
    }

    async fn park(&self, slot: Slot, event: &Received, error: &Error) -> Result<(), Error> {
        let mut tx = self.cluster.begin_in(slot).await?;
        if self.admit(&mut tx, event).await? == Admission::Repeated {
            tx.rollback().await;
            return Ok(());
        }
        let reason = error.reason();
        parked::park(&mut tx, self.name, event, 1, &reason).await?;
        tx.commit().await?;
        tracing::warn!(event_id = %event.id, kind = event.kind, key = event.key, reason, "event parked");
        Ok(())
    }

    fn span(&self, topic: &str, event: &Received) -> tracing::Span {
        trace::consumer(topic, event, self.name)
    }

    /// Tries parked events again when they are due, until shutdown.
    pub(crate) async fn retry_parked(self: Arc<Self>, shutdown: CancellationToken) {
        let shards: Vec<Shard> = self.cluster.shards().collect();
        let mut counted_at = None;
        loop {
            if counted_at.is_none_or(|at: Instant| at.elapsed() >= COUNT_EVERY) {
                counted_at = Some(Instant::now());
                self.count_parked(&shards).await;
            }
            let mut retried = 0;
            for shard in &shards {
                match self.retry_due(shard).await {
                    Ok(keys) => retried += keys,
                    Err(error) => {
                        tracing::warn!(shard = shard.name(), %error, "parked events wait");
                    }
                }
            }
            // A key whose first event went through may have the next one due.
            let pause = if retried == 0 {
                LOOK_FOR_DUE_EVERY
            } else {
                Duration::ZERO
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Where a shard says nothing the last figure stays.
    async fn count_parked(&self, shards: &[Shard]) {
        for shard in shards {
            if let Ok(count) = parked::count(shard, self.name).await {
                self.metrics.set_parked(shard.name(), count);
            }
        }
    }

    /// Tries the first event of every key that is due; says how many keys went on.
    async fn retry_due(&self, shard: &Shard) -> Result<usize, Error> {
        let mut retried = 0;
        for due in parked::due(shard, self.name).await? {
            let worker = Context::for_worker(self.name, None, WITHIN);
            match worker.scope(self.retry(&due)).await {
                Ok(true) => retried += 1,
                Ok(false) => {}
                // One slot may be fenced: the other keys need not wait for it.
                Err(error) => tracing::warn!(key = due.key, %error, "a parked event waits"),
            }
        }
        Ok(retried)
    }

    async fn retry(&self, due: &Due) -> Result<bool, Error> {
        let Some(slot) = due.slot() else {
            return Ok(false);
        };
        let _place = self.cluster.shard(&slot).reaction_place().await;
        let mut tx = self.cluster.begin_in(slot).await?;
        let Some(parked) = parked::take(&mut tx, self.name, &due.key).await? else {
            tx.rollback().await;
            return Ok(false);
        };
        let (seq, attempts) = (parked.seq, parked.attempts + 1);
        let event = Received::from(parked);
        let span = self.span("parked", &event);
        let context = Context {
            trace: trace::cause(&event),
            ..Context::current()
        };
        let effect = self.consumer.on_event(&mut tx, &event).instrument(span);
        let Err(error) = context.scope(effect).await else {
            tx.commit().await?;
            return Ok(true);
        };
        tx.rollback().await;
        let reason = error.reason();
        let mut tx = self.cluster.begin_in(slot).await?;
        let last = parked::postpone(&mut tx, self.name, &due.key, seq, attempts, &reason).await?;
        tx.commit().await?;
        tracing::warn!(event_id = %event.id, key = event.key, attempts, last, reason, "event failed again");
        if last {
            self.metrics.dead_letters.inc();
        }
        Ok(false)
    }
}
