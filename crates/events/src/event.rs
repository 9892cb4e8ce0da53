/// A fact that a service publishes: the message of one Protobuf type on one topic.
pub trait Event: prost::Message + Default {
    /// The Protobuf type, `order.v1.OrderPlaced`.
    const TYPE: &'static str;
    /// The topic without its prefix, `order.events`.
    const TOPIC: &'static str;

    /// The aggregate's id: events of one key are delivered in order.
    fn key(&self) -> &str;

    /// The aggregate's version that the event tells of; `None` where the key's order says enough.
    fn version(&self) -> Option<i64>;
}
