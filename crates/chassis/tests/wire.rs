//! The gRPC server and client over a socket, with what travels beside a call.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "wire/process.rs"]
mod process;
#[path = "wire/traces.rs"]
mod traces;

use std::time::Duration;

use chassis::client::Retry;
use chassis::{Caller, Consistency, Context, Position, caller};
use process::{Process, get_payment, telemetry};
use tokio::time::Instant;
use tonic::Code;
use tracing::Instrument as _;
use types::{Slot, UserId};

const BUDGET: Duration = Duration::from_secs(5);

fn customer() -> Caller {
    Caller {
        kind: caller::Kind::Customer,
        user_id: Some(UserId::new(Slot::draw())),
        session_id: None,
    }
}

fn request(caller: &Caller, budget: Duration) -> Context {
    Context {
        caller: caller.clone(),
        deadline: Some(Instant::now() + budget),
        consistency: Consistency::default(),
        request_id: Some("request-1".into()),
        ..Context::default()
    }
}

fn position(shard: &str) -> Position {
    Position {
        service: "payment".to_owned(),
        shard: shard.to_owned(),
        timeline: 1,
        lsn: 7,
        map_version: 2,
    }
}

#[tokio::test]
async fn a_call_carries_its_deadline_its_caller_and_its_request() {
    let mut process = Process::start().await;
    let customer = customer();

    let channel = process.channel(Retry::Never);
    let call = get_payment(channel, "quick");
    request(&customer, BUDGET).scope(call).await.unwrap();
    let seen = process.seen().await;

    assert_eq!(seen.context.caller, customer);
    assert_eq!(seen.context.request_id.as_deref(), Some("request-1"));
    let millis = seen.timeout.unwrap();
    let millis: u64 = millis.strip_suffix('m').unwrap().parse().unwrap();
    assert!((1..BUDGET.as_millis() as u64).contains(&millis), "{millis}");
    assert!(seen.left <= Duration::from_millis(millis));
}

#[tokio::test]
async fn a_service_calls_in_its_own_name_for_the_same_user() {
    let mut process = Process::start().await;
    let customer = customer();

    let call = get_payment(process.own_channel(), "quick");
    request(&customer, BUDGET).scope(call).await.unwrap();

    let own = Caller::service("payment", customer.user_id);
    assert_eq!(process.seen().await.context.caller, own);
}

#[tokio::test]
async fn a_consistency_token_goes_there_and_comes_back_with_more() {
    let mut process = Process::start().await;
    let context = request(&customer(), BUDGET);
    let consistency = context.consistency.clone();
    consistency.observe(position("written-before"));
    process.prepare(|| Context::current().consistency.observe(position("prepared")));

    let call = get_payment(process.channel(Retry::Never), "quick");
    context.scope(call).await.unwrap();

    let arrived = process.seen().await.positions;
    assert_eq!(arrived, [position("prepared"), position("written-before")]);
    let mut known = arrived;
    known.insert(1, position("read-there"));
    assert_eq!(consistency.positions(), known);
}

#[tokio::test]
async fn a_trace_goes_on_in_the_called_service() {
    telemetry();
    let mut process = Process::start().await;
    let span = tracing::info_span!("caller");
    let trace_id = span.in_scope(chassis::trace::trace_id).unwrap();

    let call = get_payment(process.channel(Retry::Never), "quick").instrument(span);
    request(&customer(), BUDGET).scope(call).await.unwrap();

    let seen = process.seen().await;
    assert_eq!(seen.trace_id, Some(trace_id.clone()));
    let traceparent = seen.traceparent.unwrap();
    assert_eq!(chassis::trace::trace_id_of(&traceparent), Some(&*trace_id));
}

#[tokio::test]
async fn a_call_that_takes_too_long_has_exceeded_its_deadline() {
    let process = Process::start().await;

    let call = get_payment(process.channel(Retry::Keyed), "slow");
    let late = request(&customer(), Duration::from_millis(200)).scope(call);

    assert_eq!(late.await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn nobody_unknown_is_answered_and_nobody_without_permission() {
    let process = Process::start().await;

    let anonymous = get_payment(process.bare_channel().await, "quick").await;
    let guest = get_payment(process.channel(Retry::Never), "quick");
    let guest = request(&Caller::default(), BUDGET).scope(guest).await;

    assert_eq!(anonymous.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(guest.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn metrics_and_health_are_on_the_admin_port() {
    let process = Process::start().await;
    let call = get_payment(process.channel(Retry::Never), "quick");
    request(&customer(), BUDGET).scope(call).await.unwrap();

    let (live, ready) = (
        process.admin("/health/live").await,
        process.admin("/health/ready").await,
    );

    assert_eq!((live.status, ready.status), (200, 200));
    let text = "grpc_requests_total{method=\"payment.v1.PaymentService/GetPayment\",\
        status=\"Ok\"} 1";
    process.until_metrics_have(text).await;
}

#[tokio::test]
async fn a_call_in_flight_is_answered_before_the_process_ends() {
    let mut process = Process::start().await;
    let channel = process.channel(Retry::Never);
    let slow = request(&customer(), BUDGET).scope(get_payment(channel.clone(), "slow"));

    let stopping = async {
        process.seen().await;
        process.stop();
        process.until_not_ready().await;
        process.let_go();
    };
    let (answer, ()) = tokio::join!(slow, stopping);

    answer.unwrap();
    process.ended().await.unwrap();
    let after = request(&customer(), BUDGET).scope(get_payment(channel, "quick"));
    assert_eq!(after.await.unwrap_err().code(), Code::Unavailable);
}
