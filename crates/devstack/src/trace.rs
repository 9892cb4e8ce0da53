//! An order's trace: found, checked to be one tree, and drawn.

mod waterfall;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context, bail};
use types::OrderId;

use crate::platform::Platform;
use crate::service::Service;
use crate::sink::{SinkClient, Span};
use crate::verify;
use crate::wait;

pub use crate::trace::waterfall::draw;

/// Exporters send in batches, and the last consumer comes after the answer.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(15);

/// Spans as parents and children. Borrowed from one trace.
pub struct Tree<'a> {
    /// Spans without a parent.
    pub roots: Vec<&'a Span>,
    /// Spans whose parent did not arrive.
    pub orphans: Vec<&'a Span>,
    children: HashMap<&'a str, Vec<&'a Span>>,
    count: usize,
}

impl<'a> Tree<'a> {
    pub fn of(spans: &'a [Span]) -> Self {
        let ids: HashSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
        let mut tree = Self {
            roots: Vec::new(),
            orphans: Vec::new(),
            children: HashMap::new(),
            count: spans.len(),
        };
        for span in spans {
            match span.parent_id.as_deref() {
                None => tree.roots.push(span),
                Some(parent) if ids.contains(parent) => {
                    tree.children.entry(parent).or_default().push(span);
                }
                Some(_) => tree.orphans.push(span),
            }
        }
        tree
    }

    /// Every span with its depth, parents before their children, which are in order of start.
    pub fn in_order(&self) -> Vec<(usize, &'a Span)> {
        let mut ordered = Vec::with_capacity(self.count);
        let tops = self.roots.iter().chain(&self.orphans);
        let mut ahead: Vec<(usize, &'a Span)> = tops.rev().map(|span| (0, *span)).collect();
        while let Some((depth, span)) = ahead.pop() {
            ordered.push((depth, span));
            if let Some(children) = self.children.get(span.span_id.as_str()) {
                ahead.extend(children.iter().rev().map(|child| (depth + 1, *child)));
            }
        }
        ordered
    }

    /// What keeps these spans from being one tree; `None` when they are one.
    pub fn flaw(&self) -> Option<String> {
        if self.count == 0 {
            return Some("it has no spans".to_owned());
        }
        if let Some(orphan) = self.orphans.first() {
            let count = self.orphans.len();
            let (service, name) = (&orphan.service, &orphan.name);
            return Some(format!(
                "the parents of {count} spans did not arrive (first: {service} {name})"
            ));
        }
        if self.roots.len() != 1 {
            return Some(format!("it has {} roots", self.roots.len()));
        }
        (self.in_order().len() != self.count).then(|| "some parents form a circle".to_owned())
    }
}

/// What is missing for the trace of a confirmed order to be whole; `None` when nothing is.
pub fn incomplete(spans: &[Span]) -> Option<String> {
    let has = |service: Service, kind: &str| {
        let mut spans = spans.iter();
        spans.any(|span| span.service == service.name() && span.kind == kind)
    };
    let servers = [
        Service::Gateway,
        Service::Order,
        Service::Inventory,
        Service::Payment,
    ];
    let consumers = [Service::Product, Service::Inventory, Service::User];
    let expected = servers
        .map(|service| (service, "server"))
        .into_iter()
        .chain(consumers.map(|service| (service, "consumer")))
        .chain([(Service::Order, "client"), (Service::Order, "producer")]);
    for (service, kind) in expected {
        if !has(service, kind) {
            return Some(format!("it has no {kind} span of {service}"));
        }
    }
    let is_statement = |span: &Span| span.attributes.contains_key("db.system.name");
    if !spans.iter().any(is_statement) {
        return Some("it has no span of a database".to_owned());
    }
    Tree::of(spans).flaw()
}

/// Waits until the trace of a confirmed order is whole.
///
/// # Errors
///
/// When something is still missing after 15 s: what it is.
pub async fn whole(platform: &Platform, trace_id: &str) -> anyhow::Result<Vec<Span>> {
    let sink = SinkClient::new(platform.traces_url());
    wait::until(&format!("trace {trace_id}"), ARRIVAL_LIMIT, async || {
        let spans = sink.trace(trace_id).await?;
        match incomplete(&spans) {
            None => Ok(spans),
            Some(missing) => bail!(missing),
        }
    })
    .await
}

/// The id and the spans of the trace in which an order was placed.
///
/// # Errors
///
/// When the order or its trace is not known.
pub async fn find(platform: &Platform, order_id: OrderId) -> anyhow::Result<(String, Vec<Span>)> {
    let trace_id = verify::trace_id(platform, order_id)
        .await?
        .with_context(|| format!("there is no order {order_id}"))?;
    let sink = SinkClient::new(platform.traces_url());
    let spans = sink.trace(&trace_id).await?;
    if spans.is_empty() {
        bail!("trace {trace_id} is not, or no more, among the traces that devstack keeps");
    }
    Ok((trace_id, spans))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(span_id: &str, parent_id: Option<&str>, start_nanos: u64) -> Span {
        Span {
            span_id: span_id.to_owned(),
            parent_id: parent_id.map(str::to_owned),
            name: span_id.to_owned(),
            service: "order".to_owned(),
            start_nanos,
            end_nanos: start_nanos + 1,
            ..Span::default()
        }
    }

    fn names<'a>(tree: &Tree<'a>) -> Vec<(usize, &'a str)> {
        let ordered = tree.in_order().into_iter();
        ordered
            .map(|(depth, span)| (depth, span.name.as_str()))
            .collect()
    }

    #[test]
    fn spans_of_one_root_are_one_tree_in_order_of_start() {
        let spans = [
            span("root", None, 0),
            span("first", Some("root"), 1),
            span("inner", Some("first"), 2),
            span("second", Some("root"), 3),
        ];

        let tree = Tree::of(&spans);

        assert_eq!(tree.flaw(), None);
        assert_eq!(
            names(&tree),
            [(0, "root"), (1, "first"), (2, "inner"), (1, "second")]
        );
    }

    #[test]
    fn a_span_without_its_parent_is_a_flaw() {
        let spans = [span("root", None, 0), span("lost", Some("absent"), 1)];

        let flaw = Tree::of(&spans).flaw();

        assert!(flaw.is_some_and(|flaw| flaw.contains("did not arrive")));
    }

    #[test]
    fn two_roots_are_a_flaw() {
        let spans = [span("one", None, 0), span("two", None, 1)];

        let flaw = Tree::of(&spans).flaw();

        assert_eq!(flaw.as_deref(), Some("it has 2 roots"));
    }

    #[test]
    fn a_circle_of_parents_is_a_flaw() {
        let spans = [
            span("root", None, 0),
            span("one", Some("two"), 1),
            span("two", Some("one"), 2),
        ];

        let flaw = Tree::of(&spans).flaw();

        assert_eq!(flaw.as_deref(), Some("some parents form a circle"));
    }
}
