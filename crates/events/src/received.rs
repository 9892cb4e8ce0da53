use bytes::Bytes;
use jiff::Timestamp;
use prost::DecodeError;
use types::EventId;

use crate::Event;

/// An event as it came from Kafka.
#[derive(Clone, Debug)]
pub struct Received {
    pub id: EventId,
    /// The Protobuf type, `order.v1.OrderPlaced`.
    pub kind: String,
    /// The aggregate's id.
    pub key: String,
    /// The aggregate's version, where the event carries one.
    pub version: Option<i64>,
    /// When the change was made.
    pub time: Timestamp,
    pub payload: Bytes,
    /// The span that published it.
    pub(crate) traceparent: Option<String>,
}

impl Received {
    /// The message, or `None` when the event is of another type.
    pub fn decode<E: Event>(&self) -> Option<Result<E, DecodeError>> {
        (self.kind == E::TYPE).then(|| E::decode(self.payload.clone()))
    }
}
