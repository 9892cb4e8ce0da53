use std::time::Duration;

use chassis::Chassis;
use futures::future::try_join_all;
use jiff_sqlx::Timestamp;
use rdkafka::producer::{FutureProducer, FutureRecord};
use sqlx::FromRow;
use storage::{Cluster, Shard, UnguardedTx};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use types::EventId;

use crate::metrics::{OfShard, OutboxMetrics};
use crate::{Config, Error, Received, kafka, trace};

/// One transaction's worth of events.
const BATCH: usize = 500;
const POLL_MIN: Duration = Duration::from_millis(20);
const POLL_MAX: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How long Kafka may take to acknowledge a batch; a transaction is open meanwhile.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(5);
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// "outbox": one process at a time drains a shard's outbox.
const LEASE: i64 = 0x6f75_7462_6f78;

/// Carries events from the outbox of a shard to Kafka.
pub struct Relay {
    service: &'static str,
    config: Config,
    shard: Shard,
    producer: FutureProducer,
}

#[derive(FromRow)]
struct Pending {
    id: i64,
    event_id: EventId,
    topic: String,
    key: String,
    r#type: String,
    version: Option<i64>,
    traceparent: Option<String>,
    created_at: Timestamp,
    payload: Vec<u8>,
}

impl Relay {
    /// Drains the outboxes of all shards of the service until shutdown.
    pub fn start<K>(chassis: &Chassis, config: &Config, cluster: &Cluster<K>) -> Result<(), Error> {
        for shard in cluster.shards() {
            let relay = Self {
                service: chassis.service(),
                config: config.clone(),
                shard,
                producer: kafka::producer(config, chassis.service())?,
            };
            let shutdown = chassis.shutdown();
            chassis.tasks().spawn_worker(relay.run(shutdown));
        }
        let shards = cluster.shards().collect();
        let metrics = OutboxMetrics::register(chassis);
        let shutdown = chassis.shutdown();
        let measuring = async move {
            shutdown.run_until_cancelled(measure(shards, metrics)).await;
        };
        chassis.tasks().spawn_worker(measuring);
        Ok(())
    }

    async fn run(mut self, shutdown: CancellationToken) {
        let mut pause = POLL_MIN;
        loop {
            match self.drain().await {
                Ok(0) => pause = (pause * 2).min(POLL_MAX),
                Ok(BATCH) => pause = Duration::ZERO,
                Ok(_) => pause = POLL_MIN,
                Err(error) => {
                    pause = (pause * 2).clamp(POLL_MAX, RETRY_MAX);
                    tracing::warn!(shard = self.shard.name(), %error, "events wait in the outbox");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.shard.signalled() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Publishes and deletes one batch; says how many events it had.
    async fn drain(&mut self) -> Result<usize, Error> {
        let mut tx = self.shard.begin_unguarded().await?;
        let batch = lock_batch(&mut tx, &self.shard.owned_slots()).await?;
        if batch.is_empty() {
            tx.rollback().await;
            return Ok(0);
        }
        if let Err(error) = self.publish(&batch).await {
            tx.rollback().await;
            self.replace_producer().await?;
            return Err(error);
        }
        delete(&mut tx, &batch).await?;
        tx.commit().await?;
        Ok(batch.len())
    }

    /// What is still queued must not arrive after what the next attempt sends.
    async fn replace_producer(&mut self) -> Result<(), Error> {
        let new = kafka::producer(&self.config, self.service)?;
        let old = std::mem::replace(&mut self.producer, new);
        // It joins its thread. Should that panic, the queue is gone all the same.
        let _ = tokio::task::spawn_blocking(move || drop(old)).await;
        Ok(())
    }

    async fn publish(&self, batch: &[Pending]) -> Result<(), Error> {
        let deliveries: Vec<_> = batch.iter().map(|event| self.deliver(event)).collect();
        timeout(ACKNOWLEDGE_WITHIN, try_join_all(deliveries))
            .await
            .map_err(|_| Error::NotAcknowledged)??;
        Ok(())
    }

    /// Queues the event at once, in the order of the calls; the future ends when Kafka has it.
    fn deliver(&self, event: &Pending) -> impl Future<Output = Result<(), Error>> + use<> {
        let topic = self.config.topic(&event.topic);
        let published = Received::from(event);
        let span = trace::producer(&event.topic, &published);
        // Without a span of its own the event goes on from its cause.
        let traceparent = span.in_scope(chassis::trace::traceparent);
        let traceparent = traceparent.or_else(|| event.traceparent.clone());
        let headers = kafka::headers(&published, self.service, traceparent.as_deref());
        let record = FutureRecord::to(&topic)
            .key(&event.key)
            .payload(&event.payload)
            .headers(headers);
        let queued = self
            .producer
            .send_result(record)
            .map_err(|(error, _)| error);
        async move {
            let delivery = queued?;
            match delivery.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err((error, _))) => Err(error.into()),
                Err(_cancelled) => Err(Error::NotAcknowledged),
            }
        }
        .instrument(span)
    }
}

impl From<&Pending> for Received {
    fn from(event: &Pending) -> Self {
        Self {
            id: event.event_id,
            kind: event.r#type.clone(),
            key: event.key.clone(),
            version: event.version,
            time: event.created_at.to_jiff(),
            payload: event.payload.clone().into(),
            traceparent: event.traceparent.clone(),
        }
    }
}

/// The oldest events, or none while another process has the lease. By id and never "after the last
/// id": ids become visible out of order.
async fn lock_batch(tx: &mut UnguardedTx, slots: &[i16]) -> Result<Vec<Pending>, sqlx::Error> {
    sqlx::query_as(
        "with lease as materialized (select pg_try_advisory_xact_lock($1) as held)
         select id, event_id, topic, key, type, version, traceparent, created_at, payload
         from outbox
         where (select held from lease) and slot = any($2)
         order by id
         limit $3
         for update skip locked",
    )
    .bind(LEASE)
    .bind(slots)
    .bind(BATCH as i64)
    .fetch_all(tx)
    .await
}

async fn delete(tx: &mut UnguardedTx, batch: &[Pending]) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = batch.iter().map(|event| event.id).collect();
    sqlx::query("delete from outbox where id = any($1)")
        .bind(ids)
        .execute(tx)
        .await?;
    Ok(())
}

async fn measure(shards: Vec<Shard>, metrics: OutboxMetrics) {
    loop {
        for shard in &shards {
            // A shard that is away has metrics of its own; the last figures stay.
            if let Ok((pending, oldest_age)) = backlog(shard).await {
                let of = OfShard {
                    shard: shard.name().to_owned(),
                };
                metrics.pending.get_or_create(&of).set(pending);
                metrics.oldest_age.get_or_create(&of).set(oldest_age);
            }
        }
        sleep(MEASURE_EVERY).await;
    }
}

async fn backlog(shard: &Shard) -> Result<(i64, f64), Error> {
    let backlog = sqlx::query_as(
        "select count(*), coalesce(extract(epoch from now() - min(created_at)), 0)::float8
         from outbox",
    )
    .fetch_one(&mut shard.primary_once().await?)
    .await?;
    Ok(backlog)
}
