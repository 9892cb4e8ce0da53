//! Kafka after a restore: it must tell what the databases tell, and no more.
//!
//! An event that was published before the moment has its cause in the databases; whether it had
//! taken effect by then its consumers' inboxes know, so it is told again. An event that was
//! published later is dropped: either its cause is undone, or it waits in an outbox again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use futures::future::try_join_all;
use jiff::Timestamp;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::{Headers as _, Message as _, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::platform::Platform;
use crate::service::Service;
use crate::{kafka, topics, wait};

const UNDO_LIMIT: Duration = Duration::from_secs(60);
const SEND_LIMIT: Duration = Duration::from_secs(30);
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Fewer than the client queues.
const BATCH: usize = 10_000;

/// What lies in the restored databases' folder: how far Kafka was brought back to their moment.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    at: Timestamp,
    /// `None`: not yet.
    undone: Option<Undone>,
}

/// How many events of each kind were dropped.
pub type Undone = BTreeMap<String, u64>;

fn file(databases: &Path) -> PathBuf {
    databases.join("restored.json")
}

/// Notes in restored databases that Kafka is still to be brought back.
pub(crate) fn expect_undo(databases: &Path, at: Timestamp) -> anyhow::Result<()> {
    write(databases, &Progress { at, undone: None })
}

fn write(databases: &Path, progress: &Progress) -> anyhow::Result<()> {
    let new = databases.join("restored.new");
    fs::write(&new, serde_json::to_vec(progress)?)?;
    Ok(fs::rename(new, file(databases))?)
}

fn read(home: &Home) -> Option<Progress> {
    serde_json::from_slice(&fs::read(file(&home.postgres())).ok()?).ok()
}

/// Whether the databases were restored and Kafka was not yet.
pub(crate) fn are_ahead(home: &Home) -> bool {
    read(home).is_some_and(|progress| progress.undone.is_none())
}

/// What the last restore has undone.
pub(crate) fn undone(home: &Home) -> Undone {
    let progress = read(home);
    progress.and_then(|it| it.undone).unwrap_or_default()
}

/// Brings every topic back, before any service runs. It may be done twice.
pub(crate) async fn undo(platform: &Platform) -> anyhow::Result<()> {
    let progress = read(&platform.home).context("no restore is under way")?;
    let at = progress.at.as_millisecond();
    let mut undone = Undone::new();
    for service in Service::BACKENDS {
        let topic = platform.topic(service);
        // A broker that has just started does not lead its partitions at once.
        let again = async || undo_topic(platform, &topic, at).await;
        for (kind, count) in wait::until(&topic, UNDO_LIMIT, again).await? {
            *undone.entry(kind).or_default() += count;
        }
    }
    let progress = Progress {
        undone: Some(undone),
        ..progress
    };
    write(&platform.home.postgres(), &progress)
}

/// Copies what is older to the end of the topic, and then deletes everything before the copies.
/// Whoever had read further begins with the copies, as with any log that was cut.
async fn undo_topic(platform: &Platform, topic: &str, at_ms: i64) -> anyhow::Result<Undone> {
    let (brokers, name) = (platform.kafka_brokers(), topic.to_owned());
    let reading = tokio::task::spawn_blocking(move || read_all(&brokers, &name));
    let (records, ends) = reading.await??;
    let is_older =
        |record: &OwnedMessage| record.timestamp().to_millis().is_some_and(|ms| ms < at_ms);
    let (older, later): (Vec<_>, Vec<_>) = records.into_iter().partition(is_older);
    let mut undone = Undone::new();
    for record in &later {
        *undone.entry(kind(record)).or_default() += 1;
    }
    if !undone.is_empty() || !older.is_empty() {
        append(platform, topic, &older).await?;
        kafka::delete_before(platform, topic, &ends).await?;
    }
    Ok(undone)
}

/// Every record, and the next offset of each partition.
fn read_all(brokers: &str, topic: &str) -> anyhow::Result<(Vec<OwnedMessage>, Vec<i64>)> {
    let reader = topics::reader(brokers)?;
    let offsets = topics::offsets(&reader, topic)?;
    let mut all = TopicPartitionList::new();
    let mut open = 0;
    for (partition, (first, next)) in (0..).zip(&offsets) {
        if first < next {
            all.add_partition_offset(topic, partition, Offset::Offset(*first))?;
            open += 1;
        }
    }
    reader.assign(&all)?;
    let ends: Vec<i64> = offsets.into_iter().map(|(_, next)| next).collect();
    let mut records = Vec::new();
    while open > 0 {
        let Some(record) = reader.poll(READ_LIMIT) else {
            bail!("{topic} could not be read to its end");
        };
        let record = record?.detach();
        if usize::try_from(record.partition()).is_ok_and(|at| ends[at] == record.offset() + 1) {
            open -= 1;
        }
        records.push(record);
    }
    Ok((records, ends))
}

async fn append(platform: &Platform, topic: &str, records: &[OwnedMessage]) -> anyhow::Result<()> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", platform.kafka_brokers())
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("compression.type", "zstd")
        .create()?;
    for batch in records.chunks(BATCH) {
        let sent = batch.iter().map(|record| {
            let mut copy = FutureRecord::to(topic)
                .partition(record.partition())
                .key(record.key().unwrap_or_default())
                .payload(record.payload().unwrap_or_default());
            copy.timestamp = record.timestamp().to_millis();
            copy.headers = record.headers().cloned();
            producer.send_result(copy).map_err(|(error, _)| error)
        });
        // All are queued, in their order, before the first is waited for.
        let sent: Vec<_> = sent.collect();
        let acknowledged = sent.into_iter().map(async |sent| {
            sent?.await?.map_err(|(error, _)| error)?;
            anyhow::Ok(())
        });
        tokio::time::timeout(SEND_LIMIT, try_join_all(acknowledged)).await??;
    }
    Ok(())
}

fn kind(record: &OwnedMessage) -> String {
    let header = |name: &str| {
        let mut headers = record.headers()?.iter();
        let header = headers.find(|header| header.key == name)?;
        String::from_utf8(header.value?.to_vec()).ok()
    };
    let kind = header("ce_type").unwrap_or_default();
    kind.rsplit('.').next().unwrap_or_default().to_owned()
}
