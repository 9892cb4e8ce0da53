//! Reading Kafka's topics for checks, without joining a group.

use std::time::Duration;

use anyhow::Context;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A client that reads where it is told to and leaves nothing behind.
pub(crate) fn reader(brokers: &str) -> anyhow::Result<BaseConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // Required by the client; nothing is committed under it.
        .set("group.id", "devstack")
        .set("enable.auto.commit", "false")
        .create()
        .context("Kafka")
}

/// The first and the next offset of each partition of a topic.
pub(crate) fn offsets(reader: &BaseConsumer, topic: &str) -> anyhow::Result<Vec<(i64, i64)>> {
    let metadata = reader.fetch_metadata(Some(topic), TIMEOUT)?;
    let partitions = metadata
        .topics()
        .first()
        .map_or(0, |topic| topic.partitions().len());
    (0..i32::try_from(partitions)?)
        .map(|partition| Ok(reader.fetch_watermarks(topic, partition, TIMEOUT)?))
        .collect()
}
