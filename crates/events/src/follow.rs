//! Topics followed by every process for itself: all partitions, no group, no inbox.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chassis::Chassis;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{Config, Error, Received, kafka};

const ASK_WITHIN: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// A running follower.
#[derive(Clone)]
pub struct Follower {
    caught_up: watch::Receiver<bool>,
}

impl Follower {
    /// Waits until everything that was in the topics at the start has been seen.
    pub async fn caught_up(&self) {
        // The sender ends at shutdown only, and then readiness no longer matters.
        let _ = self
            .caught_up
            .clone()
            .wait_for(|caught_up| *caught_up)
            .await;
    }
}

/// Calls `on_event` for every event of `topics` from `since` ago on, until shutdown. After a
/// reconnection an event may come twice.
pub fn start(
    chassis: &Chassis,
    config: &Config,
    topics: &[&str],
    since: Duration,
    on_event: impl Fn(Received) + Send + Sync + 'static,
) -> Result<Follower, Error> {
    let client: StreamConsumer = kafka::client(config, chassis.service())
        // Asked for by the library even where no group is joined.
        .set(
            "group.id",
            format!("{}{}", config.group_prefix, chassis.service()),
        )
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("queued.max.messages.kbytes", "4096")
        .create()?;
    let (progress, caught_up) = watch::channel(false);
    let topics = topics.iter().map(|topic| config.topic(topic)).collect();
    let following = Following {
        client: Arc::new(client),
        topics,
        since,
        progress,
    };
    let shutdown = chassis.shutdown();
    chassis
        .tasks()
        .spawn_worker(following.run(on_event, shutdown));
    Ok(Follower { caught_up })
}

struct Following {
    client: Arc<StreamConsumer>,
    topics: Vec<String>,
    since: Duration,
    progress: watch::Sender<bool>,
}

/// The end of each partition that is not reached yet.
type Ends = HashMap<(String, i32), i64>;

impl Following {
    async fn run(self, on_event: impl Fn(Received) + Send + Sync, shutdown: CancellationToken) {
        let Some(mut ends) = shutdown.run_until_cancelled(self.assign()).await else {
            return;
        };
        loop {
            if ends.is_empty() {
                self.progress
                    .send_if_modified(|caught_up| !std::mem::replace(caught_up, true));
            }
            let record = tokio::select! {
                () = shutdown.cancelled() => return,
                record = self.client.recv() => record,
            };
            match record {
                Ok(record) => {
                    match kafka::received(&record) {
                        Ok(event) => on_event(event),
                        Err(error) => tracing::warn!(%error, "a record is no event"),
                    }
                    let of = (record.topic().to_owned(), record.partition());
                    if ends.get(&of).is_some_and(|end| record.offset() + 1 >= *end) {
                        ends.remove(&of);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "no events from kafka");
                    sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Tries until Kafka answers.
    async fn assign(&self) -> Ends {
        loop {
            let (client, topics, since) = (self.client.clone(), self.topics.clone(), self.since);
            let assigning = move || assign(&client, &topics, since);
            match tokio::task::spawn_blocking(assigning).await {
                Ok(Ok(ends)) => return ends,
                Ok(Err(error)) => tracing::warn!(%error, "the topics cannot be followed yet"),
                Err(error) => tracing::error!(%error, "the topics cannot be followed yet"),
            }
            sleep(RETRY_AFTER).await;
        }
    }
}

/// Assigns every partition of the topics from the given age on; blocks.
fn assign(client: &StreamConsumer, topics: &[String], since: Duration) -> KafkaResult<Ends> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let from = Offset::Offset(now.saturating_sub(since).as_millis() as i64);
    let mut times = TopicPartitionList::new();
    for topic in topics {
        let metadata = client.fetch_metadata(Some(topic), ASK_WITHIN)?;
        let partitions = metadata
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions());
        let before = times.count();
        for partition in partitions {
            times.add_partition_offset(topic, partition.id(), from)?;
        }
        if times.count() == before {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic));
        }
    }
    let starts = client.offsets_for_times(times, ASK_WITHIN)?;
    let mut assignment = TopicPartitionList::new();
    let mut ends = Ends::new();
    for start in starts.elements() {
        let (topic, partition) = (start.topic(), start.partition());
        let (_, end) = client.fetch_watermarks(topic, partition, ASK_WITHIN)?;
        // Nothing so young: begin with what comes next.
        let first = match start.offset() {
            Offset::Offset(offset) => offset,
            _ => end,
        };
        assignment.add_partition_offset(topic, partition, Offset::Offset(first))?;
        if first < end {
            ends.insert((topic.to_owned(), partition), end);
        }
    }
    client.assign(&assignment)?;
    Ok(ends)
}
