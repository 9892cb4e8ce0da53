//! The W3C trace context of spans, in and out of headers.

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[derive(Default)]
struct Pair(Option<String>);

impl Injector for Pair {
    fn set(&mut self, key: &str, value: String) {
        if key == "traceparent" {
            self.0 = Some(value);
        }
    }
}

impl Extractor for Pair {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.as_deref().filter(|_| key == "traceparent")
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

/// The current span's `traceparent`, to be stored or sent; `None` outside any trace.
pub fn traceparent() -> Option<String> {
    let mut pair = Pair::default();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut pair);
    pair.0
}

/// The current span's trace id, 32 hexadecimal digits; `None` outside any trace.
pub fn trace_id() -> Option<String> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.trace_id().to_string())
}

/// The trace id inside a stored `traceparent`.
pub fn trace_id_of(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

/// Makes the span a child of what the headers say.
pub fn continue_from_headers(span: &Span, headers: &HeaderMap) {
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    // A span that the filter dropped has no parent to set.
    let _ = span.set_parent(parent);
}

/// Makes the span a child of a stored `traceparent`.
pub fn continue_from(span: &Span, traceparent: &str) {
    let parent = TraceContextPropagator::new().extract(&Pair(Some(traceparent.to_owned())));
    let _ = span.set_parent(parent);
}
