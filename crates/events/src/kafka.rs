//! The client library's settings, and an event as a record.

use bytes::Bytes;
use jiff::Timestamp;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaResult;
use rdkafka::message::{Header, Headers as _, Message, OwnedHeaders};
use rdkafka::producer::FutureProducer;
use types::EventId;

use crate::{Config, Received};

const SPEC_VERSION: &str = "ce_specversion";
const CONTENT_TYPE: &str = "content-type";
const ID: &str = "ce_id";
const TYPE: &str = "ce_type";
const SOURCE: &str = "ce_source";
const TIME: &str = "ce_time";
const SUBJECT: &str = "ce_subject";
const VERSION: &str = "aggregateversion";
const TRACEPARENT: &str = "traceparent";

/// The record is no event: a header is absent or makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record has no usable {0}")]
pub struct NoEvent(&'static str);

pub(crate) fn client(config: &Config, service: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.kafka_brokers)
        .set("client.id", service)
        // A broker that restarts is found again at once.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000");
    client
}

/// A producer whose records arrive once and in order, as long as it lives.
///
/// It has no time limit of its own: a record that it gave up alone would let later ones overtake.
pub(crate) fn producer(config: &Config, service: &str) -> KafkaResult<FutureProducer> {
    client(config, service)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .set("linger.ms", "1")
        .set("compression.type", "zstd")
        .create()
}

/// CloudEvents attributes (Kafka binding, binary mode) with the version and the trace.
pub(crate) fn headers(event: &Received, source: &str, traceparent: Option<&str>) -> OwnedHeaders {
    let text = |value: &dyn ToString| Some(value.to_string());
    let attributes = [
        (SPEC_VERSION, text(&"1.0")),
        (CONTENT_TYPE, text(&"application/protobuf")),
        (ID, text(&event.id)),
        (TYPE, text(&event.kind)),
        (SOURCE, text(&source)),
        (TIME, text(&event.time)),
        (SUBJECT, text(&event.key)),
        (VERSION, event.version.map(|version| version.to_string())),
        (TRACEPARENT, traceparent.map(str::to_owned)),
    ];
    let mut headers = OwnedHeaders::new();
    for (key, value) in &attributes {
        if value.is_some() {
            let value = value.as_deref();
            headers = headers.insert(Header { key, value });
        }
    }
    headers
}

fn header<'a>(record: &'a impl Message, name: &str) -> Option<&'a str> {
    let found = record.headers()?.iter().find(|header| header.key == name)?;
    std::str::from_utf8(found.value?).ok()
}

fn parsed<T: std::str::FromStr>(record: &impl Message, name: &'static str) -> Result<T, NoEvent> {
    let text = header(record, name).ok_or(NoEvent(name))?;
    text.parse().map_err(|_| NoEvent(name))
}

pub(crate) fn received(record: &impl Message) -> Result<Received, NoEvent> {
    let version = header(record, VERSION)
        .map(str::parse)
        .transpose()
        .map_err(|_| NoEvent(VERSION))?;
    Ok(Received {
        id: parsed::<EventId>(record, ID)?,
        kind: parsed(record, TYPE)?,
        key: parsed(record, SUBJECT)?,
        version,
        time: parsed::<Timestamp>(record, TIME)?,
        traceparent: header(record, TRACEPARENT).map(str::to_owned),
        payload: Bytes::copy_from_slice(record.payload().unwrap_or_default()),
    })
}
