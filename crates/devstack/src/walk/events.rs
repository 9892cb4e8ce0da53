use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::consumer::Consumer;
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::platform::Platform;
use crate::service::Service;
use crate::walk::customer::Placed;
use crate::{topics, wait};

const POLL: Duration = Duration::from_millis(100);
const MARK_LIMIT: Duration = Duration::from_secs(20);
const PUBLISH_LIMIT: Duration = Duration::from_secs(20);
/// What a confirmed order publishes, in this order and each once.
const EXPECTED: [&str; 2] = ["order.v1.OrderPlaced", "order.v1.OrderConfirmed"];

/// The topic of order events from a moment on.
pub(crate) struct EventLog {
    brokers: String,
    topic: String,
    /// The next offset of each partition at that moment.
    ends: Vec<i64>,
}

impl EventLog {
    /// From now on; a broker that has just been started may need some seconds to answer.
    pub(crate) async fn mark(platform: &Platform) -> anyhow::Result<Self> {
        let mark = async || Self::try_mark(platform).await;
        wait::until("the log of order events", MARK_LIMIT, mark).await
    }

    async fn try_mark(platform: &Platform) -> anyhow::Result<Self> {
        let brokers = platform.kafka_brokers();
        let topic = platform.topic(Service::Order);
        tokio::task::spawn_blocking(move || {
            let offsets = topics::offsets(&topics::reader(&brokers)?, &topic)?;
            let ends = offsets.into_iter().map(|(_, end)| end).collect();
            Ok(Self {
                brokers,
                topic,
                ends,
            })
        })
        .await?
    }

    /// Waits for the events of these orders and returns how many records the topic got since the
    /// mark.
    ///
    /// # Errors
    ///
    /// When events are missing after 20 s, come twice, or come in another order.
    pub(crate) async fn published(self, orders: &[&Placed]) -> anyhow::Result<usize> {
        let mut seen: HashMap<String, Vec<String>> = orders
            .iter()
            .map(|order| (order.order_id.to_string(), Vec::new()))
            .collect();
        tokio::task::spawn_blocking(move || self.read(&mut seen)).await?
    }

    fn read(&self, seen: &mut HashMap<String, Vec<String>>) -> anyhow::Result<usize> {
        let consumer = topics::reader(&self.brokers)?;
        let mut from = TopicPartitionList::new();
        for (partition, end) in (0..).zip(&self.ends) {
            from.add_partition_offset(&self.topic, partition, Offset::Offset(*end))?;
        }
        consumer.assign(&from)?;
        let deadline = Instant::now() + PUBLISH_LIMIT;
        let mut count = 0;
        while seen.values().any(|events| events.len() < EXPECTED.len()) {
            if Instant::now() >= deadline {
                bail!("order events are missing: {seen:?}");
            }
            let Some(record) = consumer.poll(POLL) else {
                continue;
            };
            let record = record?;
            count += 1;
            let key = String::from_utf8_lossy(record.key().unwrap_or_default());
            if let Some(events) = seen.get_mut(key.as_ref()) {
                events.push(event_type(&record).context("a record without ce_type")?);
            }
        }
        for (order_id, events) in seen {
            if events != &EXPECTED {
                bail!("order {order_id} published {events:?}");
            }
        }
        Ok(count)
    }
}

fn event_type(record: &impl Message) -> Option<String> {
    let mut headers = record.headers()?.iter();
    let header = headers.find(|header| header.key == "ce_type")?;
    String::from_utf8(header.value?.to_vec()).ok()
}
