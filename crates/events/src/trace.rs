//! The spans of events: a trace goes on through tables and topics as W3C `traceparent` text.

use chassis::trace::continue_from;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::Received;

/// The span that publishes an event, in the trace of the change that caused it. Without a trace
/// there is no span: the relay's own work is nobody's request.
pub(crate) fn producer(topic: &str, event: &Received) -> Span {
    let Some(parent) = &event.traceparent else {
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
    let Some(parent) = &event.traceparent else {
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
    if let Some(producer) = span_context(parent) {
        // Jaeger would take the link's kind, "follows from", for that of the parent too.
        let child_of = KeyValue::new("opentracing.ref_type", "child_of");
        span.add_link_with_attributes(producer, vec![child_of]);
    }
    span
}

/// Every span of an order carries its id, which is the key of the order's events.
fn order_id<'a>(topic: &str, event: &'a Received) -> Option<&'a str> {
    (topic == "order.events").then_some(&event.key)
}

/// Version, trace id, span id and flags, in hexadecimal (W3C Trace Context §3.2).
fn span_context(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-').skip(1);
    let trace_id = TraceId::from_hex(parts.next()?).ok()?;
    let span_id = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    let state = TraceState::default();
    Some(SpanContext::new(
        trace_id,
        span_id,
        TraceFlags::new(flags),
        true,
        state,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_whole_or_not_at_all() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

        let context = span_context(text).unwrap();

        assert_eq!(
            context.trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(context.span_id().to_string(), "b7ad6b7169203331");
        assert!(context.is_sampled());
        assert!(span_context("00-0af7651916cd43dd8448eb211c80319c").is_none());
    }
}
