use std::fs;
use std::time::Duration;

use devstack::platform::Platform;
use devstack::service::Service;
use devstack::sink::{SinkClient, Span};
use reqwest::Method;
use serde_json::Value;
use testkit::{Setting, System, eventually};
use tests::shared::PATIENT;
use tests::stall::Stall;
use tests::visitor::Visitor;

use crate::metrics;

/// Spans are sent in batches.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(20);

/// As deployed, but that nobody else's reads are traced, and that every login is slow for `user`.
const DEPLOYED: [Setting<'static>; 7] = [
    (Service::Gateway, "TRACE_RATIO", "0"),
    (Service::Gateway, "TRACE_SLOW_MS", "60000"),
    (Service::Product, "TRACE_SLOW_MS", "60000"),
    (Service::User, "TRACE_SLOW_MS", "0"),
    (Service::Gateway, "LOG_FORMAT", "json"),
    (Service::User, "LOG_FORMAT", "json"),
    (Service::Product, "LOG_FORMAT", "json"),
];

async fn spans_of(platform: &Platform, trace_id: &str) -> Vec<Span> {
    let sink = SinkClient::new(platform.traces_url());
    sink.trace(trace_id).await.unwrap()
}

async fn start() -> System {
    let settings: Vec<_> = PATIENT.into_iter().chain(DEPLOYED).collect();
    System::start(&settings).await
}

#[tokio::test]
async fn checkout_errors_and_slow_requests_are_traced_and_nothing_else() {
    let system = start().await;
    let platform = &system.platform;
    let stall = Stall::open(platform, 10).await.unwrap();

    // A checkout: the whole trace, into every consumer.
    let buyer = stall.buyer(1).await.unwrap();
    let order = buyer.place_until_decided("key", "tok_ok").await.unwrap();
    let order_id = order["id"].as_str().unwrap();
    let sink = SinkClient::new(platform.traces_url());
    eventually(ARRIVAL_LIMIT, async || {
        let traces = sink.trace_ids_with("order.id", order_id).await.unwrap();
        let spans = sink.trace(traces.first()?).await.unwrap();
        let has = |name: &str| spans.iter().any(|span| span.name == name);
        (has("POST /api/orders") && has("process order.events")).then_some(())
    })
    .await;

    // A slow call: the service's own span, and no other.
    let slow = eventually(ARRIVAL_LIMIT, async || {
        let of_login = ("rpc.method", "user.v1.UserService/Login");
        let traces = sink.trace_ids_with(of_login.0, of_login.1).await.unwrap();
        Some(spans_of(platform, traces.first()?).await)
    })
    .await;
    assert_eq!(slow.len(), 1, "{slow:#?}");
    assert_eq!((slow[0].service.as_str(), slow[0].failed), ("user", false));
    assert!(slow[0].parent_id.is_some(), "{slow:#?}");

    // Good reads: nothing.
    let visitor = Visitor::guest(platform).unwrap();
    let trace_ids: Vec<String> = (0..5).map(|_| random_trace_id()).collect();
    for trace_id in &trace_ids {
        let read = visitor
            .request(Method::GET, &format!("/api/products/{}", stall.product_id))
            .header("traceparent", format!("00-{trace_id}-00000000000000a1-00"));
        Visitor::answer(read).await.unwrap().expect(200);
    }
    // An error: the gateway's span, with the id that the client and the log were told.
    platform.hold("product").unwrap();
    platform.kill("product").await.unwrap();
    let missing = format!(
        "/api/products/{}",
        types::ProductId::new(types::Slot::draw())
    );
    let problem = visitor.get(&missing).await.unwrap();
    platform.release("product").unwrap();
    let trace_id = problem.json()["traceId"].as_str().unwrap().to_owned();
    assert!(problem.status >= 500, "{}", problem.status);
    let failed = eventually(ARRIVAL_LIMIT, async || {
        let spans = spans_of(platform, &trace_id).await;
        spans.into_iter().find(|span| span.service == "gateway")
    })
    .await;
    assert_eq!(failed.name, "GET /api/products/{id}");
    assert!(failed.failed && failed.parent_id.is_none(), "{failed:#?}");
    let log = fs::read_to_string(platform.home.log("gateway")).unwrap();
    let line = log.lines().find(|line| line.contains(&trace_id)).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["code"], "Unavailable", "{line}");
    assert_eq!(line["request_id"], problem.json()["requestId"], "{line}");
    let text = metrics(platform, Service::Gateway).await;
    assert!(text.contains(&format!("# {{trace_id=\"{trace_id}\"}}")));

    // The error's span was sent after theirs would have been.
    for trace_id in &trace_ids {
        assert_eq!(spans_of(platform, trace_id).await, []);
        assert!(!log.contains(trace_id));
    }
}

fn random_trace_id() -> String {
    let half = tests::stall::random;
    format!("{:016x}{:016x}", half(), half())
}
