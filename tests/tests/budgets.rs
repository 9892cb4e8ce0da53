//! What an order and a look at the catalogue may cost the databases, counted from their traces.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use devstack::platform::Platform;
use devstack::sink::{SinkClient, Span};
use futures::future::join_all;
use reqwest::Method;
use testkit::eventually;
use tests::shared;
use tests::stall::{Buyer, Stall, random};
use tests::visitor::Visitor;

/// Spans are sent in batches.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(20);

/// What a part of a trace cost, by service.
#[derive(Debug, Default)]
struct Cost {
    commits: BTreeMap<String, usize>,
    round_trips: BTreeMap<String, usize>,
}

impl Cost {
    fn of<'a>(spans: impl Iterator<Item = &'a Span>) -> Self {
        let mut cost = Self::default();
        for span in spans.filter(|span| is_round_trip(span)) {
            if span.name == "db.commit" {
                *cost.commits.entry(span.service.clone()).or_default() += 1;
            }
            *cost.round_trips.entry(span.service.clone()).or_default() += 1;
        }
        cost
    }

    #[expect(clippy::print_stdout, reason = "the figures that are quoted")]
    fn expect_within(&self, what: &str, commits_max: usize, round_trips_max: usize) {
        let commits: usize = self.commits.values().sum();
        let round_trips: usize = self.round_trips.values().sum();
        println!("{what}: {commits} commits, {round_trips} round trips: {self:?}");
        assert!((1..=commits_max).contains(&commits), "{what}: {self:?}");
        assert!(
            (1..=round_trips_max).contains(&round_trips),
            "{what}: {self:?}"
        );
    }
}

/// Redis is asked too, and is nobody's budget.
fn is_round_trip(span: &Span) -> bool {
    span.attributes
        .get("db.system.name")
        .is_some_and(|system| system == "postgresql")
}

/// Whether the span lies inside one like this, or is one.
fn is_within(span: &Span, by_id: &HashMap<&str, &Span>, outer: impl Fn(&Span) -> bool) -> bool {
    let parent = |span: &&Span| by_id.get(span.parent_id.as_deref()?).copied();
    std::iter::successors(Some(span), parent).any(outer)
}

/// The relay's and the consumers': the order waits for neither.
fn is_event(span: &Span) -> bool {
    span.kind == "producer" || span.kind == "consumer"
}

/// The step after the decision: the answer does not wait for it, though it may begin before.
fn is_settlement(span: &Span) -> bool {
    span.name == "order settle"
}

/// The spans of an order that was placed and has gone its whole way to the captured payment.
async fn whole_trace(platform: &Platform, trace_id: &str) -> Vec<Span> {
    let sink = SinkClient::new(platform.traces_url());
    eventually(ARRIVAL_LIMIT, async || {
        let spans = sink.trace(trace_id).await.unwrap();
        let has = |name: &str| spans.iter().any(|span| span.name == name);
        // Each is sent after what is inside it.
        let whole = has("POST /api/orders")
            && has("order settle")
            && has("payment.v1.PaymentService/Capture")
            && is_whole(&spans);
        whole.then_some(spans)
    })
    .await
}

/// Whether everything that was called has said what it did.
fn is_whole(spans: &[Span]) -> bool {
    let answered: BTreeSet<&str> = spans
        .iter()
        .filter(|span| span.kind == "server")
        .filter_map(|span| span.parent_id.as_deref())
        .collect();
    let mut calls = spans
        .iter()
        .filter(|span| span.kind == "client" && span.attributes.contains_key("rpc.method"));
    calls.all(|call| answered.contains(call.span_id.as_str()))
}

/// The trace of the order that the buyer places now.
async fn buy(buyer: &Buyer) -> String {
    let order = buyer.place("key", "tok_ok").await.unwrap();
    assert_eq!(order["status"], "confirmed");
    order["traceId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_one_line_order_keeps_to_its_budget() {
    let stall = Stall::open(shared::platform().await, 10).await.unwrap();
    // Connections and statements are prepared by the first orders.
    for _ in 0..3 {
        buy(&stall.buyer(1).await.unwrap()).await;
    }
    let buyer = stall.buyer(1).await.unwrap();

    let trace_id = buy(&buyer).await;

    let spans = whole_trace(&stall.platform, &trace_id).await;
    let by_id: HashMap<_, _> = spans
        .iter()
        .map(|span| (span.span_id.as_str(), span))
        .collect();
    let request = spans
        .iter()
        .find(|span| span.name == "POST /api/orders")
        .unwrap();
    let own = || {
        spans
            .iter()
            .filter(|span| !is_within(span, &by_id, is_event))
    };
    let until_answered = own().filter(|span| span.start_nanos < request.end_nanos);
    let until_answered =
        Cost::of(until_answered.filter(|span| !is_within(span, &by_id, is_settlement)));
    let until_captured = Cost::of(own());
    until_answered.expect_within("until the answer 201", 6, 24);
    until_captured.expect_within("until captured", 10, 40);
}

/// Reads as a guest; answers with the roles of the databases that were asked.
async fn roles(platform: &Platform, path: &str, token: Option<&str>) -> BTreeSet<String> {
    let trace_id = format!("{:016x}{:016x}", random(), random());
    let traceparent = format!("00-{trace_id}-{:016x}-01", random());
    let guest = Visitor::guest(platform).unwrap();
    let mut request = guest
        .request(Method::GET, path)
        .header("traceparent", traceparent);
    if let Some(token) = token {
        request = request.header("x-consistency-token", token);
    }
    Visitor::answer(request).await.unwrap().expect(200);
    let sink = SinkClient::new(platform.traces_url());
    let spans = eventually(ARRIVAL_LIMIT, async || {
        let spans = sink.trace(&trace_id).await.unwrap();
        let is_request = |span: &Span| span.kind == "server" && span.service == "gateway";
        (spans.iter().any(is_request) && is_whole(&spans)).then_some(spans)
    })
    .await;
    spans
        .iter()
        .filter_map(|span| span.attributes.get("role").cloned())
        .collect()
}

#[tokio::test]
async fn catalogue_reads_of_a_guest_never_go_to_a_primary() {
    let stall = Stall::open(shared::platform().await, 10).await.unwrap();
    let slug = stall.sku.to_lowercase();
    let paths = [
        "/api/categories".to_owned(),
        format!("/api/products?category=kind-{slug}"),
        format!("/api/products/search?q=thing&category=kind-{slug}"),
        format!("/api/products/{}", stall.product_id),
        format!("/api/products/{slug}"),
        format!("/api/inventory/{}", stall.sku),
    ];

    let read = paths.iter().map(|path| roles(&stall.platform, path, None));
    let read = join_all(read).await;

    for (path, roles) in paths.iter().zip(&read) {
        println!("{path}: {roles:?}");
        assert!(!roles.contains("primary"), "{path}: {roles:?}");
    }
    let asked = read.iter().filter(|roles| roles.contains("replica"));
    assert!(asked.count() >= 3, "caches answered: {read:?}");
}

#[tokio::test]
async fn a_catalogue_read_from_a_primary_is_caught() {
    let stall = Stall::open(shared::platform().await, 10).await.unwrap();
    let path = format!(
        "/api/products/search?category=kind-{}&sort=price",
        stall.sku.to_lowercase()
    );

    // An unreadable token: nobody knows what the guest has seen.
    let roles = roles(&stall.platform, &path, Some("?")).await;

    assert!(roles.contains("primary"), "{roles:?}");
}
