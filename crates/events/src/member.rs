use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::Tasks;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Header, Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, TopicPartitionList};
use tokio::sync::{OnceCell, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::metrics::ConsumerMetrics;
use crate::reaction::Reaction;
use crate::{Config, Error, kafka};

/// Records of one partition that wait in this process; half of it pauses the partition.
const QUEUE: usize = 512;
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Two processes of one name take it from each other in turns, but not in a spin.
const REJOIN_AFTER: Duration = Duration::from_secs(1);
const DEAD_LETTER_WITHIN: Duration = Duration::from_secs(5);

/// A member of a consumer group: keeps polling, and works on each partition in a task of its own.
pub(crate) struct Member<K> {
    client: StreamConsumer<ConsumerMetrics>,
    reaction: Arc<Reaction<K>>,
    metrics: ConsumerMetrics,
    config: Config,
    dead_letters: OnceCell<FutureProducer>,
    tasks: Tasks,
}

/// What the polling loop holds of a partition's task.
struct Partition {
    queue: mpsc::Sender<OwnedMessage>,
    paused: Arc<AtomicBool>,
}

impl<K: 'static> Member<K> {
    pub(crate) fn join(
        config: &Config,
        topics: &[String],
        reaction: Arc<Reaction<K>>,
        metrics: ConsumerMetrics,
        tasks: Tasks,
    ) -> Result<Arc<Self>, Error> {
        let client: StreamConsumer<_> =
            group_client(config, reaction.name).create_with_context(metrics.clone())?;
        client.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(Arc::new(Self {
            client,
            reaction,
            metrics,
            config: config.clone(),
            dead_letters: OnceCell::new(),
            tasks,
        }))
    }

    /// Follows the group's topics until shutdown, joining again when its client has come to its
    /// end: the group fences a member for good whose name it gave to another, as it may after the
    /// broker was started again. What the old member has begun does no harm: the inbox knows it.
    pub(crate) async fn stay(
        mut self: Arc<Self>,
        join_again: impl Fn() -> Result<Arc<Self>, Error>,
        shutdown: CancellationToken,
    ) {
        loop {
            let place = shutdown.child_token();
            let end = Arc::clone(&self).run(&place).await;
            place.cancel();
            let Err(error) = end else {
                return;
            };
            tracing::error!(%error, "the group has fenced this member; it joins again");
            self = match join_again() {
                Ok(member) => member,
                Err(error) => {
                    tracing::error!(%error, "no consumer can be made");
                    self
                }
            };
            sleep(REJOIN_AFTER).await;
        }
    }

    /// Ends at shutdown, or with the error after which the client gives nothing more. A partition
    /// that was taken away and is still queued here does no harm: the inbox knows what its new
    /// owner has done.
    async fn run(self: Arc<Self>, shutdown: &CancellationToken) -> KafkaResult<()> {
        let mut partitions = HashMap::new();
        loop {
            let record = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                record = self.client.recv() => record,
            };
            match record {
                Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error),
                Ok(record) => {
                    let record = record.detach();
                    let partition = partitions
                        .entry((record.topic().to_owned(), record.partition()))
                        .or_insert_with(|| self.start_partition(shutdown));
                    self.enqueue(partition, record).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "no events from kafka");
                    sleep(RETRY_MIN).await;
                }
            }
        }
    }

    fn start_partition(self: &Arc<Self>, shutdown: &CancellationToken) -> Partition {
        let (sender, queue) = mpsc::channel(QUEUE);
        let paused = Arc::new(AtomicBool::new(false));
        let working =
            Arc::clone(self).work_on_partition(queue, Arc::clone(&paused), shutdown.clone());
        self.tasks.spawn_worker(working);
        Partition {
            queue: sender,
            paused,
        }
    }

    /// Pauses the partition in good time, so that it never stops the polling of the others.
    async fn enqueue(&self, partition: &Partition, record: OwnedMessage) {
        let of = of_partition(&record);
        if partition.queue.send(record).await.is_err() {
            return;
        }
        if partition.queue.capacity() < QUEUE / 2 && !partition.paused.swap(true, Ordering::AcqRel)
        {
            report("pause", self.client.pause(&of));
        }
    }

    async fn work_on_partition(
        self: Arc<Self>,
        mut queue: mpsc::Receiver<OwnedMessage>,
        paused: Arc<AtomicBool>,
        shutdown: CancellationToken,
    ) {
        while let Some(Some(record)) = shutdown.run_until_cancelled(queue.recv()).await {
            if !self.consume(&record, &shutdown).await {
                return;
            }
            // A partition that is no longer ours refuses it, rightly.
            let _ = self
                .client
                .store_offset(record.topic(), record.partition(), record.offset());
            if queue.is_empty() && paused.swap(false, Ordering::AcqRel) {
                report("resume", self.client.resume(&of_partition(&record)));
            }
        }
    }

    /// Tries until the record is dealt with; `false` when shutdown came first.
    async fn consume(&self, record: &OwnedMessage, shutdown: &CancellationToken) -> bool {
        let mut pause = RETRY_MIN;
        while let Err(error) = self.settle(record).await {
            let (partition, offset) = (record.partition(), record.offset());
            let reason = error.reason();
            tracing::warn!(
                topic = record.topic(),
                partition,
                offset,
                reason,
                "event waits"
            );
            tokio::select! {
                () = shutdown.cancelled() => return false,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(RETRY_MAX);
        }
        true
    }

    async fn settle(&self, record: &OwnedMessage) -> Result<(), Error> {
        let event = match kafka::received(record) {
            Ok(event) => event,
            Err(error) => return self.dead_letter(record, &error.into()).await,
        };
        match self.reaction.consumer.slots(&event) {
            Ok(slots) if slots.is_empty() => {
                self.metrics.skipped.inc();
                Ok(())
            }
            Ok(slots) => {
                let topic = record.topic();
                let topic = topic
                    .strip_prefix(&self.config.topic_prefix)
                    .unwrap_or(topic);
                self.reaction.settle(topic, &event, slots).await
            }
            Err(error) => self.dead_letter(record, &error).await,
        }
    }

    /// Sends the record as it is, with the reason and where it came from in headers.
    async fn dead_letter(&self, record: &OwnedMessage, error: &Error) -> Result<(), Error> {
        let name = self.reaction.name;
        let reason = error.reason();
        let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
        let origin = format!("{topic}/{partition}/{offset}");
        let topic = self.config.topic(&format!("{name}.dead-letters"));
        let headers = record.headers().cloned().unwrap_or_else(OwnedHeaders::new);
        let header = |key, value| Header {
            key,
            value: Some(value),
        };
        let letter = FutureRecord::to(&topic)
            .key(record.key().unwrap_or_default())
            .payload(record.payload().unwrap_or_default())
            .headers(
                headers
                    .insert(header("reason", &reason))
                    .insert(header("origin", &origin)),
            );
        let new_producer = async || kafka::producer(&self.config, name);
        let producer = self.dead_letters.get_or_try_init(new_producer).await?;
        let sending = producer.send(letter, DEAD_LETTER_WITHIN);
        match tokio::time::timeout(DEAD_LETTER_WITHIN, sending).await {
            Ok(Ok(_)) => {}
            Ok(Err((error, _))) => return Err(error.into()),
            Err(_elapsed) => return Err(Error::NotAcknowledged),
        }
        self.metrics.dead_letters.inc();
        tracing::error!(origin, reason, "event cannot be decoded");
        Ok(())
    }
}

fn group_client(config: &Config, name: &str) -> ClientConfig {
    let mut client = kafka::client(config, name);
    client
        .set("group.id", format!("{}{name}", config.group_prefix))
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1500")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.offset.store", "false")
        .set("auto.commit.interval.ms", "500")
        .set("queued.max.messages.kbytes", "4096")
        .set("statistics.interval.ms", "5000")
        .set("topic.metadata.refresh.interval.ms", "10000");
    if let Some(member) = &config.group_member {
        client.set("group.instance.id", format!("{name}-{member}"));
    }
    client
}

fn of_partition(record: &OwnedMessage) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(record.topic(), record.partition());
    list
}

fn report(step: &str, result: KafkaResult<()>) {
    if let Err(error) = result {
        tracing::warn!(step, %error, "the partition is not ours");
    }
}
