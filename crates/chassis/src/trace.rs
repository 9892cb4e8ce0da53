//! Where a request is in its trace, recorded or not: in and out of headers (W3C Trace Context).
//!
//! Whether a request is recorded is decided where its trace begins, and passed on with it. One that
//! is not makes no span; should it end in an error, or late, then its own span is written after all,
//! under the ids that were passed on. See `docs/metrics.md`.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use opentelemetry::global;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use prometheus_client::encoding::EncodeLabelSet;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::Context;

pub use opentelemetry::KeyValue;

/// Which requests are recorded.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// The share of those about which nobody has decided.
    pub ratio: f64,
    /// Whatever takes longer is recorded after its end.
    pub slow: Duration,
}

/// A request's place in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    trace_id: TraceId,
    /// The request's own.
    span_id: SpanId,
    /// The caller's; invalid where the trace begins.
    parent_id: SpanId,
    recorded: bool,
}

/// What a histogram's bucket points to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Exemplar {
    trace_id: String,
}

impl Trace {
    /// Goes on with the caller's trace and its decision, or begins one. `always`: recorded whatever
    /// was decided.
    pub fn begin(headers: &HeaderMap, sampling: Sampling, always: bool) -> Self {
        let caller = headers
            .contains_key("traceparent")
            .then(|| extract(&Headers(headers)))
            .filter(SpanContext::is_valid);
        let span_id = SpanId::from(rand::random::<u64>());
        match caller {
            Some(caller) => Self {
                trace_id: caller.trace_id(),
                span_id,
                parent_id: caller.span_id(),
                recorded: always || caller.is_sampled(),
            },
            None => Self {
                trace_id: TraceId::from(rand::random::<u128>()),
                span_id,
                parent_id: SpanId::INVALID,
                recorded: always || rand::random::<f64>() < sampling.ratio,
            },
        }
    }

    /// Where whoever stored this `traceparent` was.
    pub fn of(traceparent: &str) -> Option<Self> {
        let context = extract(&Pair(Some(traceparent.to_owned())));
        context.is_valid().then(|| Self {
            trace_id: context.trace_id(),
            span_id: context.span_id(),
            parent_id: SpanId::INVALID,
            recorded: context.is_sampled(),
        })
    }

    pub fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// As a parent, or as what a span is linked to.
    pub fn span_context(&self) -> SpanContext {
        self.remote(self.span_id, self.recorded)
    }

    /// Makes the span the request's own, under the ids that are passed on.
    pub fn own(&self, span: &Span) {
        // A span that the filter dropped has no parent to set.
        let _ = span.set_parent(self.parent());
        self.under_own_ids(|| span.context());
    }

    /// Writes the request's own span after its end, if it was not recorded: it failed or was slow.
    pub fn record_late(
        &self,
        name: String,
        took: Duration,
        failed: bool,
        attributes: Vec<KeyValue>,
    ) {
        let tracer = global::tracer("chassis");
        let builder = tracer
            .span_builder(name)
            .with_kind(SpanKind::Server)
            .with_start_time(SystemTime::now() - took)
            .with_attributes(attributes);
        let mut span = self.under_own_ids(|| builder.start_with_context(&tracer, &self.parent()));
        if failed {
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// For the observation that this request is.
    pub fn exemplar(&self) -> Exemplar {
        Exemplar {
            trace_id: self.trace_id.to_string(),
        }
    }

    fn parent(&self) -> opentelemetry::Context {
        let parent = opentelemetry::Context::new();
        if self.parent_id == SpanId::INVALID {
            return parent;
        }
        // Recorded or late: the span is to be written.
        parent.with_remote_span_context(self.remote(self.parent_id, true))
    }

    fn remote(&self, span_id: SpanId, recorded: bool) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(recorded);
        SpanContext::new(self.trace_id, span_id, flags, true, TraceState::default())
    }

    /// The first span that is started in there has this request's ids.
    fn under_own_ids<T>(&self, start: impl FnOnce() -> T) -> T {
        NEXT_IDS.set(Some((self.trace_id, self.span_id)));
        let started = start();
        NEXT_IDS.set(None);
        started
    }
}

thread_local! {
    static NEXT_IDS: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

/// Random ids, but for the spans whose ids were passed on before they were started.
#[derive(Debug, Default)]
pub(crate) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        let next = NEXT_IDS.get().map(|(trace_id, _)| trace_id);
        next.unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        let next = NEXT_IDS.get().map(|(_, span_id)| span_id);
        next.unwrap_or_else(|| self.0.new_span_id())
    }
}

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

fn extract(carrier: &dyn Extractor) -> SpanContext {
    // What is unreadable must not become the place where we are.
    let nowhere = opentelemetry::Context::new();
    let context = TraceContextPropagator::new().extract_with_context(&nowhere, carrier);
    context.span().span_context().clone()
}

/// The current span's place, or where the request is that makes no span.
fn current() -> Option<SpanContext> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    if span.is_valid() {
        return Some(span);
    }
    Context::current_trace().map(|trace| trace.span_context())
}

/// Whether spans are made here: inside another one only, as what nobody asked for is nobody's trace.
pub fn is_recording() -> bool {
    !Span::current().is_none()
}

/// The current `traceparent`, to be stored or sent; `None` outside any trace.
pub fn traceparent() -> Option<String> {
    let mut pair = Pair::default();
    let context = opentelemetry::Context::new().with_remote_span_context(current()?);
    TraceContextPropagator::new().inject_context(&context, &mut pair);
    pair.0
}

/// The current trace id, 32 hexadecimal digits; `None` outside any trace.
pub fn trace_id() -> Option<String> {
    current().map(|place| place.trace_id().to_string())
}

/// As [`trace_id`], but of the request and never of a span: log lines are written while the
/// subscriber is at work, which must not be asked then.
pub(crate) fn request_trace_id() -> Option<String> {
    Context::current_trace().map(|trace| trace.trace_id.to_string())
}

/// What an observation here points to: nothing, unless the trace is recorded.
pub fn exemplar() -> Option<Exemplar> {
    let trace = Context::current_trace().filter(Trace::is_recorded)?;
    Some(trace.exemplar())
}

/// The trace id inside a stored `traceparent`.
pub fn trace_id_of(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

/// Makes the span a child of a stored `traceparent`.
pub fn continue_from(span: &Span, traceparent: &str) {
    let parent = TraceContextPropagator::new().extract(&Pair(Some(traceparent.to_owned())));
    let _ = span.set_parent(parent);
}

/// Does stored work in the trace that it was stored with, and in a span where that is recorded.
pub async fn resume<F: Future>(
    traceparent: Option<&str>,
    span: impl FnOnce() -> Span,
    work: F,
) -> F::Output {
    let trace = traceparent.and_then(Trace::of);
    let span = match traceparent {
        Some(traceparent) if trace.is_some_and(|trace| trace.is_recorded()) => {
            let span = span();
            continue_from(&span, traceparent);
            span
        }
        _ => Span::none(),
    };
    let context = Context {
        trace,
        ..Context::current()
    };
    context.scope(work.instrument(span)).await
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOBODYS: Sampling = Sampling {
        ratio: 0.0,
        slow: Duration::MAX,
    };

    fn sent(traceparent: &'static str) -> HeaderMap {
        let name = http::HeaderName::from_static("traceparent");
        [(name, HeaderValue::from_static(traceparent))]
            .into_iter()
            .collect()
    }

    #[test]
    fn the_caller_decides_and_checkout_is_always_recorded() {
        let recorded = sent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let silent = sent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        let all = Sampling {
            ratio: 1.0,
            ..NOBODYS
        };

        assert!(Trace::begin(&recorded, NOBODYS, false).is_recorded());
        assert!(!Trace::begin(&silent, all, false).is_recorded());
        assert!(Trace::begin(&silent, NOBODYS, true).is_recorded());
        assert!(Trace::begin(&HeaderMap::new(), all, false).is_recorded());
        assert!(!Trace::begin(&HeaderMap::new(), NOBODYS, false).is_recorded());
    }

    #[test]
    fn an_unreadable_traceparent_begins_a_trace() {
        let trace = Trace::begin(&sent("not a traceparent"), NOBODYS, false);

        assert_eq!(trace.parent_id, SpanId::INVALID);
        assert!(trace.trace_id != TraceId::INVALID && !trace.is_recorded());
    }

    #[test]
    fn a_stored_place_is_read_whole_or_not_at_all() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

        let place = Trace::of(text).unwrap().span_context();

        assert_eq!(
            place.trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(place.span_id().to_string(), "b7ad6b7169203331");
        assert!(place.is_sampled());
        assert_eq!(
            Trace::of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"),
            None
        );
    }

    #[tokio::test]
    async fn a_request_that_is_not_recorded_still_has_its_place() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let context = Context {
            trace: Trace::of(text),
            ..Context::default()
        };

        let (passed_on, pointed_to) = context.scope(async { (traceparent(), exemplar()) }).await;

        assert_eq!(passed_on.as_deref(), Some(text));
        assert_eq!(pointed_to, None);
        assert_eq!(traceparent(), None);
    }
}
