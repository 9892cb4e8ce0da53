//! The spans of events: a trace goes on through tables and topics as W3C `traceparent` text.

use chassis::trace::{KeyValue, Trace, continue_from};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::Received;

/// Where the change that caused the event is in its trace.
pub(crate) fn cause(event: &Received) -> Option<Trace> {
    Trace::of(event.traceparent.as_deref()?)
}

/// The `traceparent` that the event's span goes on from, and what it names; none where nothing is
/// recorded.
fn recorded_cause(event: &Received) -> Option<(&str, Trace)> {
    let cause = cause(event).filter(Trace::is_recorded)?;
    Some((event.traceparent.as_deref()?, cause))
}

/// The span that publishes an event, in the trace of the change that caused it. Without a trace
/// there is no span: the relay's own work is nobody's request.
pub(crate) fn producer(topic: &str, event: &Received) -> Span {
    let Some((parent, _)) = recorded_cause(event) else {
        return Span::none();
    };
    let span = tracing::info_span!(
        "publish",
        otel.name = format!("publish {topic}"),
        otel.kind = "producer",
        messaging.system = "kafka",
        messaging.operation.r#type = "send",
        messaging.operation.name = "publish",
        messaging.destination.name = topic,
        messaging.kafka.message.key = event.key,
        messaging.message.id = %event.id,
        event.r#type = event.kind,
        order.id = order_id(topic, event),
    );
    continue_from(&span, parent);
    span
}

/// The span of a reaction to an event: a child of its producer's, and linked to it.
pub(crate) fn consumer(topic: &str, event: &Received, group: &str) -> Span {
    let Some((parent, producer)) = recorded_cause(event) else {
        return Span::none();
    };
    let span = tracing::info_span!(
        "process",
        otel.name = format!("process {topic}"),
        otel.kind = "consumer",
        messaging.system = "kafka",
        messaging.operation.r#type = "process",
        messaging.operation.name = "process",
        messaging.destination.name = topic,
        messaging.consumer.group.name = group,
        messaging.kafka.message.key = event.key,
        messaging.message.id = %event.id,
        event.r#type = event.kind,
        order.id = order_id(topic, event),
    );
    continue_from(&span, parent);
    // Jaeger would take the link's kind, "follows from", for that of the parent too.
    let child_of = KeyValue::new("opentracing.ref_type", "child_of");
    span.add_link_with_attributes(producer.span_context(), vec![child_of]);
    span
}

/// Every span of an order carries its id, which is the key of the order's events.
fn order_id<'a>(topic: &str, event: &'a Received) -> Option<&'a str> {
    (topic == "order.events").then_some(&event.key)
}
