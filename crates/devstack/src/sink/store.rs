use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::sink::Span;

const TRACES_MAX: usize = 5_000;
const BYTES_MAX: usize = 128 * 1024 * 1024;
/// What a span costs beside its texts.
const SPAN_BYTES: usize = 512;

/// The last traces; the oldest goes first.
pub(crate) struct Store {
    traces: HashMap<String, Trace>,
    arrivals: VecDeque<String>,
    bytes: usize,
    traces_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct Trace {
    /// By span id, because an exporter may send a span twice.
    spans: BTreeMap<String, Span>,
    bytes: usize,
}

impl Default for Store {
    fn default() -> Self {
        Self::bounded(TRACES_MAX, BYTES_MAX)
    }
}

impl Store {
    fn bounded(traces_max: usize, bytes_max: usize) -> Self {
        Self {
            traces: HashMap::new(),
            arrivals: VecDeque::new(),
            bytes: 0,
            traces_max,
            bytes_max,
        }
    }

    pub(crate) fn add(&mut self, span: Span) {
        let trace_id = span.trace_id.clone();
        let trace = self.traces.entry(trace_id.clone()).or_insert_with(|| {
            self.arrivals.push_back(trace_id);
            Trace::default()
        });
        let bytes = weight(&span);
        if trace.spans.insert(span.span_id.clone(), span).is_none() {
            trace.bytes += bytes;
            self.bytes += bytes;
        }
        while self.traces.len() > self.traces_max || self.bytes > self.bytes_max {
            let Some(oldest) = self.arrivals.pop_front() else {
                break;
            };
            if let Some(trace) = self.traces.remove(&oldest) {
                self.bytes -= trace.bytes;
            }
        }
    }

    pub(crate) fn trace(&self, trace_id: &str) -> Vec<Span> {
        let Some(trace) = self.traces.get(trace_id) else {
            return Vec::new();
        };
        let mut spans: Vec<Span> = trace.spans.values().cloned().collect();
        spans.sort_by_key(|span| span.start_nanos);
        spans
    }

    pub(crate) fn trace_ids_with(&self, attribute: &str, value: &str) -> Vec<String> {
        let has = |span: &Span| span.attributes.get(attribute).is_some_and(|it| it == value);
        self.arrivals
            .iter()
            .filter(|trace_id| {
                let trace = self.traces.get(*trace_id);
                trace.is_some_and(|trace| trace.spans.values().any(has))
            })
            .cloned()
            .collect()
    }
}

fn weight(span: &Span) -> usize {
    let attributes = span
        .attributes
        .iter()
        .chain(span.events.iter().flat_map(|event| &event.attributes));
    let texts: usize = attributes.map(|(key, value)| key.len() + value.len()).sum();
    SPAN_BYTES * (1 + span.events.len()) + texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace_id: &str, span_id: &str) -> Span {
        Span {
            trace_id: trace_id.to_owned(),
            span_id: span_id.to_owned(),
            attributes: BTreeMap::from([("order.id".to_owned(), trace_id.to_owned())]),
            ..Span::default()
        }
    }

    #[test]
    fn a_span_sent_twice_is_kept_once() {
        let mut store = Store::default();

        store.add(span("a", "1"));
        store.add(span("a", "1"));

        assert_eq!(store.trace("a").len(), 1);
    }

    #[test]
    fn the_oldest_trace_goes_when_there_are_too_many() {
        let mut store = Store::bounded(2, BYTES_MAX);

        for trace_id in ["a", "b", "c"] {
            store.add(span(trace_id, "1"));
        }

        assert!(store.trace("a").is_empty());
        assert_eq!(store.trace("c").len(), 1);
    }

    #[test]
    fn the_oldest_trace_goes_when_there_are_too_many_bytes() {
        let mut store = Store::bounded(TRACES_MAX, 2 * SPAN_BYTES);

        store.add(span("a", "1"));
        store.add(span("b", "1"));

        assert!(store.trace("a").is_empty());
        assert_eq!(store.trace("b").len(), 1);
    }

    #[test]
    fn a_trace_is_found_by_an_attribute_of_any_span() {
        let mut store = Store::default();
        store.add(span("a", "1"));
        store.add(span("b", "1"));

        let found = store.trace_ids_with("order.id", "b");

        assert_eq!(found, ["b"]);
    }
}
