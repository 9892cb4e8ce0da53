//! What Kafka holds, read past the services.

use std::time::Duration;

use devstack::platform::Platform;
use devstack::service::Service;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::message::{Headers as _, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(5);

/// An event as its record tells.
pub struct Published {
    /// The message's name, without its package.
    pub kind: String,
    pub key: String,
    pub id: String,
}

/// How many records the service has not dealt with yet, of the topics that it follows.
pub fn lag(platform: &Platform, service: Service, topics: &[Service]) -> KafkaResult<i64> {
    let client = client(platform, service.name())?;
    let mut lag = 0;
    for topic in topics {
        let topic = platform.topic(*topic);
        let ends = ends(&client, &topic)?;
        let mut partitions = TopicPartitionList::new();
        for (partition, _) in &ends {
            partitions.add_partition(&topic, *partition);
        }
        let committed = client.committed_offsets(partitions, TIMEOUT)?;
        for (partition, end) in ends {
            let found = committed.find_partition(&topic, partition);
            lag += match found.map(|found| found.offset()) {
                Some(Offset::Offset(next)) => end - next,
                _ => end,
            };
        }
    }
    Ok(lag)
}

/// Every event of the service's topic; those of one key in the order in which they came.
pub fn published(platform: &Platform, service: Service) -> KafkaResult<Vec<Published>> {
    let client = client(platform, "outages")?;
    let topic = platform.topic(service);
    let ends = ends(&client, &topic)?;
    let mut from_start = TopicPartitionList::new();
    for (partition, _) in &ends {
        from_start.add_partition_offset(&topic, *partition, Offset::Beginning)?;
    }
    client.assign(&from_start)?;
    let count: i64 = ends.iter().map(|(_, end)| end).sum();
    (0..count)
        .map(|_| {
            let record = client.poll(TIMEOUT).expect("a record within the limit")?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let header = |name: &str| {
                let headers = record.headers().expect("headers");
                let header = headers.iter().find(|header| header.key == name);
                text(header.and_then(|it| it.value).unwrap_or_default())
            };
            let kind = header("ce_type");
            Ok(Published {
                kind: kind.rsplit('.').next().unwrap_or_default().to_owned(),
                key: text(record.key().unwrap_or_default()),
                id: header("ce_id"),
            })
        })
        .collect()
}

/// It never joins the group whose name it has, and commits nothing.
fn client(platform: &Platform, group: &str) -> KafkaResult<BaseConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", platform.kafka_brokers())
        .set("group.id", format!("{}{group}", platform.names.prefix))
        .set("enable.auto.commit", "false")
        .create()
}

/// The topic's partitions, with the next offset of each.
fn ends(client: &BaseConsumer, topic: &str) -> KafkaResult<Vec<(i32, i64)>> {
    let metadata = client.fetch_metadata(Some(topic), TIMEOUT)?;
    let partitions = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions());
    partitions
        .map(|partition| {
            let (_, end) = client.fetch_watermarks(topic, partition.id(), TIMEOUT)?;
            Ok((partition.id(), end))
        })
        .collect()
}
