//! How a service calls another: picker, deadline, identity, trace, consistency, retries, breaker.

mod breaker;
mod budget;
mod picker;

use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use proto::Idempotency;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;
use tracing::{Instrument as _, Span};

use crate::{Caller, Chassis, Context, caller, consistency, deadline, fault, telemetry, trace};
use breaker::Breaker;
use budget::Budget;
use picker::Picker;

/// A call outside any request gets this long.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(5);

/// Kept back from what is left, so that an answer still gets home.
const MARGIN: Duration = Duration::from_millis(10);

const ATTEMPTS_MAX: u32 = 3;
const BACK_OFF: Duration = Duration::from_millis(25);

/// Refusals that say that nothing was done, whatever the call.
const NOT_STARTED: [&str; 2] = ["SLOT_FENCED", "SHARD_DOWN"];

/// `host:port[,host:port…]`; names are looked up again and again.
#[derive(Clone, Debug)]
pub struct Endpoints(Vec<String>);

impl std::str::FromStr for Endpoints {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let addresses: Vec<String> = text.split(',').map(|a| a.trim().to_owned()).collect();
        let valid = |address: &String| {
            address
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        match addresses.iter().find(|address| !valid(address)) {
            Some(address) => Err(format!("`{address}` is not host:port")),
            None => Ok(Self(addresses)),
        }
    }
}

/// Whether a failed call is repeated here. Only the outermost caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Never,
    /// Calls that `/proto` declares repeatable, on UNAVAILABLE and ABORTED, at most twice, within a
    /// budget; others only where nothing was started.
    Keyed,
}

/// A connection to every process of another service; what a generated client is built on.
#[derive(Clone)]
pub struct Channel(Arc<Inner>);

struct Inner {
    chassis: Chassis,
    peer: &'static str,
    retry: Retry,
    forwards_caller: bool,
    picker: Picker,
    breaker: Breaker,
    budget: Budget,
}

impl Channel {
    /// Calls are made in the name of this service, for the context's user.
    pub fn new(chassis: &Chassis, peer: &'static str, endpoints: &Endpoints, retry: Retry) -> Self {
        Self::build(chassis, peer, endpoints, retry, false)
    }

    /// Calls are made in the name of the context's caller: the gateway's way.
    pub fn forwarding(
        chassis: &Chassis,
        peer: &'static str,
        endpoints: &Endpoints,
        retry: Retry,
    ) -> Self {
        Self::build(chassis, peer, endpoints, retry, true)
    }

    fn build(
        chassis: &Chassis,
        peer: &'static str,
        endpoints: &Endpoints,
        retry: Retry,
        forwards_caller: bool,
    ) -> Self {
        Self(Arc::new(Inner {
            chassis: chassis.clone(),
            peer,
            retry,
            forwards_caller,
            picker: Picker::start(chassis, &endpoints.0),
            breaker: Breaker::new(chassis.client_metrics().breaker_of(peer)),
            budget: Budget::default(),
        }))
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = self.0.clone();
        let span = span(request.uri().path().trim_start_matches('/'), inner.peer);
        Box::pin(async move { inner.call(request).await }.instrument(span))
    }
}

fn span(method: &str, peer: &str) -> Span {
    if !trace::is_recording() {
        return Span::none();
    }
    tracing::info_span!(
        "grpc.client",
        otel.name = method,
        otel.kind = "client",
        rpc.system.name = "grpc",
        rpc.method = method,
        server.address = peer,
        rpc.response.status_code = tracing::field::Empty,
        rpc.attempts = tracing::field::Empty,
        order.id = telemetry::order_id(),
    )
}

impl Inner {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let context = Context::current();
        let deadline = context
            .deadline
            .unwrap_or_else(|| Instant::now() + DEADLINE_DEFAULT);
        let repeatable = self.retry == Retry::Keyed && is_repeatable(head.uri.path());
        self.budget.deposit(Instant::now().into_std());
        let mut attempt = 1;
        loop {
            let request = self.attempt(&head, body.clone(), &context, deadline)?;
            let result = self.send(request, deadline).await;
            let status = failure(&result);
            let again = status.as_ref().is_some_and(|status| {
                let worth = self.retry == Retry::Keyed && is_worth_repeating(status, repeatable);
                worth && attempt < ATTEMPTS_MAX && self.budget.withdraw(Instant::now().into_std())
            });
            if !again {
                return self.end(result, status.as_ref(), attempt, &context);
            }
            // Full jitter: see "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
            let pause = BACK_OFF * 2_u32.pow(attempt) * rand::random_range(0..=100) / 100;
            tokio::time::sleep_until((Instant::now() + pause).min(deadline)).await;
            attempt += 1;
        }
    }

    fn attempt(
        &self,
        head: &http::request::Parts,
        body: Bytes,
        context: &Context,
        deadline: Instant,
    ) -> Result<Request<Body>, Status> {
        let left = deadline
            .saturating_duration_since(Instant::now())
            .saturating_sub(MARGIN);
        if left.is_zero() {
            return Err(Status::deadline_exceeded("no time is left for the call"));
        }
        let mut request = Request::from_parts(head.clone(), Body::new(Full::new(body)));
        let headers = request.headers_mut();
        headers.insert(deadline::HEADER, deadline::to_header(left));
        let signed = if self.forwards_caller {
            self.chassis.caller_key().sign(&context.caller)
        } else {
            let own = Caller::service(self.chassis.service(), context.caller.user_id);
            self.chassis.caller_key().sign(&own)
        };
        let optional = [
            (caller::HEADER, Some(signed)),
            (consistency::HEADER, context.consistency.to_token()),
            ("traceparent", trace::traceparent()),
            (
                "x-request-id",
                context.request_id.as_deref().map(str::to_owned),
            ),
        ];
        for (name, text) in optional {
            if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
                headers.insert(name, value);
            }
        }
        Ok(request)
    }

    async fn send(
        &self,
        request: Request<Body>,
        deadline: Instant,
    ) -> Result<Response<Body>, Status> {
        if !self.breaker.admits(Instant::now().into_std()) {
            return Err(Status::unavailable(format!("{} is failing", self.peer)));
        }
        let Some(mut backend) = self.picker.pick() else {
            return Err(Status::unavailable(format!("{} has no address", self.peer)));
        };
        let answered = tokio::time::timeout_at(deadline, backend.call(request)).await;
        let result = match answered {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let failed = Status::from_error(error.into());
                if failed.code() == Code::Cancelled {
                    // tonic keeps the `grpc-timeout` that it sends itself, and ends before we do.
                    Err(self.late())
                } else {
                    backend.eject();
                    let text = format!("{}: {}", self.peer, failed.message());
                    Err(Status::unavailable(text))
                }
            }
            Err(_) => Err(self.late()),
        };
        let failed = failure(&result).is_some_and(|status| counts_against_service(&status));
        self.breaker.record(!failed, Instant::now().into_std());
        result
    }

    fn late(&self) -> Status {
        Status::deadline_exceeded(format!("{} did not answer in time", self.peer))
    }

    fn end(
        &self,
        result: Result<Response<Body>, Status>,
        failure: Option<&Status>,
        attempts: u32,
        context: &Context,
    ) -> Result<Response<Body>, Status> {
        let span = Span::current();
        let code = failure.map_or(Code::Ok, Status::code);
        span.record("rpc.response.status_code", tracing::field::debug(code));
        span.record("rpc.attempts", attempts);
        if let Ok(response) = &result {
            let token = response.headers().get(consistency::HEADER);
            if let Some(token) = token.and_then(|token| token.to_str().ok()) {
                context.consistency.merge(token);
            }
        }
        result
    }
}

fn failure(result: &Result<Response<Body>, Status>) -> Option<Status> {
    match result {
        Ok(response) => {
            Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok)
        }
        Err(status) => Some(status.clone()),
    }
}

fn is_repeatable(path: &str) -> bool {
    let method = proto::methods().iter().find(|method| method.path == path);
    method.is_some_and(|method| method.idempotency != Idempotency::Unknown)
}

fn is_worth_repeating(status: &Status, repeatable: bool) -> bool {
    match status.code() {
        Code::Unavailable => repeatable || is_not_started(status),
        Code::Aborted => repeatable,
        _ => false,
    }
}

fn is_not_started(status: &Status) -> bool {
    fault::reason(status).is_some_and(|reason| NOT_STARTED.contains(&reason.as_str()))
}

/// A shard that is down or fenced is not the service's failure: storage has breakers for shards.
fn counts_against_service(status: &Status) -> bool {
    match status.code() {
        Code::DeadlineExceeded => true,
        Code::Unavailable => !is_not_started(status),
        _ => false,
    }
}
