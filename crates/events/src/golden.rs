//! The wire of every event, fixed: consumers of other releases read it, and topics keep it.
//!
//! A field may be added. Whatever changes a line of the file is another event type.

mod samples;

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use rdkafka::message::Headers as _;

use crate::{Event, Received, kafka};

/// Topic, type, key, version and bytes of each event.
const GOLDEN: &str = include_str!("../tests/golden/v1.txt");

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn version_of<E: Event>(event: &E) -> String {
    let version = event.version().map(|version| version.to_string());
    version.unwrap_or_else(|| "-".to_owned())
}

fn line_of<E: Event>(event: &E) -> String {
    let bytes = hex(&event.encode_to_vec());
    let (key, version) = (event.key(), version_of(event));
    format!("{} {} {key} {version} {bytes}", E::TOPIC, E::TYPE)
}

#[test]
fn every_event_is_on_the_wire_as_it_was_first() {
    assert_eq!(samples::lines().join("\n") + "\n", GOLDEN);
}

#[test]
fn every_event_has_a_golden_line() {
    let files = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET)
        .unwrap()
        .file;
    let of_events = files
        .iter()
        .filter(|file| file.name().ends_with("/events.proto"));
    let declared: BTreeSet<String> = of_events
        .flat_map(|file| {
            let messages = file.message_type.iter();
            messages.map(|message| format!("{}.{}", file.package(), message.name()))
        })
        .collect();
    let golden: BTreeSet<String> = GOLDEN
        .lines()
        .map(|line| line.split(' ').nth(1).unwrap().to_owned())
        .collect();

    let without: Vec<_> = declared.symmetric_difference(&golden).collect();

    assert_eq!(without, ["order.v1.OrderEventLine"], "a part of events");
}

#[test]
fn the_headers_are_what_they_were_first() {
    let event = Received {
        id: "01939c5a-6f00-7005-8000-000000000001".parse().unwrap(),
        kind: "payment.v1.PaymentCaptured".to_owned(),
        key: "01939c5a-6f00-7005-8000-000000000002".to_owned(),
        version: Some(3),
        time: "2026-11-21T08:00:00.25Z".parse().unwrap(),
        payload: bytes::Bytes::new(),
        traceparent: None,
    };

    let headers = kafka::headers(&event, "payment", Some(TRACEPARENT));

    let headers: Vec<_> = headers
        .iter()
        .map(|header| {
            (
                header.key,
                std::str::from_utf8(header.value.unwrap()).unwrap(),
            )
        })
        .collect();
    assert_eq!(
        headers,
        [
            ("ce_specversion", "1.0"),
            ("content-type", "application/protobuf"),
            ("ce_id", "01939c5a-6f00-7005-8000-000000000001"),
            ("ce_type", "payment.v1.PaymentCaptured"),
            ("ce_source", "payment"),
            ("ce_time", "2026-11-21T08:00:00.25Z"),
            ("ce_subject", "01939c5a-6f00-7005-8000-000000000002"),
            ("aggregateversion", "3"),
            ("traceparent", TRACEPARENT),
        ]
    );
}
