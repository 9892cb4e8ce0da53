//! Which calls make spans, and what is counted of those whose caller goes away.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::Context;
use chassis::client::Retry;
use chassis::trace::Trace;
use tracing::span::{Attributes, Id};
use tracing::{Instrument as _, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{self, SubscriberExt as _};

use crate::process::{Process, get_payment, telemetry};
use crate::{BUDGET, customer, request};

const SILENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

const TRACED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Which spans of the crate were made.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<Vec<&'static str>>>);

impl<S: Subscriber> Layer<S> for Made {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: layer::Context<'_, S>) {
        if span.metadata().target().starts_with("chassis") {
            self.0.lock().unwrap().push(span.metadata().name());
        }
    }
}

#[tokio::test]
async fn a_call_that_is_not_traced_makes_no_span_and_passes_that_on() {
    // With one subscriber only, whoever meets a span first would decide for all threads.
    telemetry();
    let made = Made::default();
    let subscriber = tracing_subscriber::registry().with(made.clone());
    let _subscribed = tracing::subscriber::set_default(subscriber);
    let mut process = Process::start().await;
    let ours = || std::mem::take(&mut *made.0.lock().unwrap());
    let silent = Context {
        trace: Trace::of(SILENT),
        ..request(&customer(), BUDGET)
    };

    let call = get_payment(process.channel(Retry::Never), "quick");
    ours();
    silent.scope(call).await.unwrap();
    let of_silent = ours();
    let seen = process.seen().await;
    let call = get_payment(process.channel(Retry::Never), "quick");
    let traced = Context {
        trace: Trace::of(TRACED),
        ..request(&customer(), BUDGET)
    };
    let traced = traced.scope(call);
    traced
        .instrument(tracing::info_span!("caller"))
        .await
        .unwrap();

    assert!(of_silent.is_empty(), "{of_silent:?}");
    assert_eq!(seen.traceparent.as_deref(), Some(SILENT));
    assert_eq!(seen.trace_id.as_deref(), Some(&SILENT[3..35]));
    assert_eq!(ours(), ["grpc.client", "grpc.server"]);
}

#[tokio::test]
async fn a_call_whose_caller_goes_away_is_counted() {
    let mut process = Process::start().await;
    let channel = process.channel(Retry::Never);

    let call = request(&customer(), BUDGET).scope(get_payment(channel, "slow"));
    let given_up = async {
        tokio::time::timeout(Duration::from_secs(1), call)
            .await
            .unwrap_err();
    };
    let (_, ()) = tokio::join!(process.seen(), given_up);

    let counted = "grpc_requests_total{method=\"payment.v1.PaymentService/GetPayment\",\
        status=\"Cancelled\"} 1";
    process.until_metrics_have(counted).await;
    process
        .until_metrics_have("grpc_requests_in_flight 0")
        .await;
}

#[tokio::test]
async fn a_process_tells_what_it_is_and_what_it_takes() {
    let process = Process::start().await;

    for text in [
        "build_info{service=\"payment\",version=\"0.1.0\",commit=\"unknown\"} 1",
        "process_cpu_seconds_total ",
        "process_resident_memory_bytes ",
    ] {
        process.until_metrics_have(text).await;
    }
}
