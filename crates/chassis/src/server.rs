//! How a backend answers: deadline, identity, permission, trace and consistency of each call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use http::HeaderMap;
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::{Instrument as _, Span};

use crate::caller::Caller;
use crate::trace::Trace;
use crate::{Chassis, Consistency, Context, caller, consistency, deadline, telemetry};

/// A call without a deadline gets this one: every wait has a limit.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);

/// Who may make a call.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    /// Guests too.
    Anyone,
    /// Customers, staff and admins.
    SignedIn,
    Staff,
    Service(&'static str),
    StaffOr(&'static str),
    SignedInOr(&'static str),
}

impl Who {
    fn admits(self, caller: &Caller) -> bool {
        match self {
            Self::Anyone => true,
            Self::SignedIn => caller.signed_in().is_some(),
            Self::Staff => caller.is_staff(),
            Self::Service(name) => caller.is_service(name),
            Self::StaffOr(name) => caller.is_staff() || caller.is_service(name),
            Self::SignedInOr(name) => caller.signed_in().is_some() || caller.is_service(name),
        }
    }
}

/// Who may call what of one service; a call that is not listed is nobody's.
#[derive(Clone, Debug)]
pub struct Permissions(Arc<HashMap<&'static str, Who>>);

impl Permissions {
    /// By method name: `("PlaceOrder", Who::SignedIn)`.
    pub fn new<const N: usize>(calls: [(&'static str, Who); N]) -> Self {
        Self(Arc::new(calls.into()))
    }

    fn check(&self, method: &str, caller: &Caller) -> Result<(), Status> {
        match self.0.get(method) {
            Some(who) if who.admits(caller) => Ok(()),
            Some(Who::SignedIn) => Err(Status::unauthenticated("sign in first")),
            _ => Err(Status::permission_denied("not yours to call")),
        }
    }
}

#[derive(Clone)]
struct Manners {
    chassis: Chassis,
    permissions: Permissions,
}

pub(crate) fn router(
    chassis: Chassis,
    permissions: Permissions,
    routes: tonic::service::Routes,
) -> Router {
    let manners = Manners {
        chassis,
        permissions,
    };
    routes
        .prepare()
        .into_axum_router()
        .layer(middleware::from_fn_with_state(manners, answer))
}

async fn answer(State(manners): State<Manners>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let method = path.trim_start_matches('/');
    let sampling = manners.chassis.sampling();
    let trace = Trace::begin(request.headers(), sampling, false);
    let answering = manners
        .chassis
        .grpc_metrics()
        .start(method, trace, sampling.slow);
    let span = span(method, trace);
    let response = run(&manners, method, trace, request, next)
        .instrument(span.clone())
        .await;
    let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
    span.record("rpc.response.status_code", tracing::field::debug(code));
    if telemetry::is_our_fault(code) {
        span.record("otel.status_code", "error");
    }
    answering.end(code);
    response
}

fn span(method: &str, trace: Trace) -> Span {
    if !trace.is_recorded() {
        return Span::none();
    }
    let span = tracing::info_span!(
        "grpc.server",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = tracing::field::Empty,
        order.id = tracing::field::Empty,
    );
    trace.own(&span);
    span
}

async fn run(
    manners: &Manners,
    method: &str,
    trace: Trace,
    request: Request,
    next: Next,
) -> Response {
    let name = method.rsplit('/').next().unwrap_or_default();
    let context = match context(manners, request.headers()) {
        Ok(context) => Context {
            trace: Some(trace),
            ..context
        },
        Err(status) => return status.into_http(),
    };
    if let Err(status) = manners.permissions.check(name, &context.caller) {
        return status.into_http();
    }
    let limit = context.deadline.unwrap_or_else(Instant::now);
    let consistency = context.consistency.clone();
    let late = || Status::deadline_exceeded("the deadline passed").into_http::<Body>();
    if limit <= Instant::now() {
        return late();
    }
    let answering = context.scope(async {
        manners.chassis.prepare_call().await;
        next.run(request).await
    });
    let answered = tokio::time::timeout_at(limit, answering).await;
    let mut response = answered.unwrap_or_else(|_| late());
    if let Some(token) = consistency.to_token().and_then(|token| token.parse().ok()) {
        response.headers_mut().insert(consistency::HEADER, token);
    }
    response
}

fn context(manners: &Manners, headers: &HeaderMap) -> Result<Context, Status> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signed = text(caller::HEADER).ok_or_else(|| Status::unauthenticated("no caller"))?;
    let caller = manners
        .chassis
        .caller_key()
        .verify(signed)
        .map_err(|error| Status::unauthenticated(error.to_string()))?;
    let left = deadline::from_headers(headers).unwrap_or(DEADLINE_DEFAULT);
    Ok(Context {
        caller,
        deadline: Some(Instant::now() + left),
        consistency: text(consistency::HEADER)
            .map(Consistency::from_token)
            .unwrap_or_default(),
        request_id: text("x-request-id").map(Into::into),
        trace: None,
    })
}
