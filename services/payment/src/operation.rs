//! How an operation is carried out: its intent is committed, the provider called, its result committed.

mod intent;

use std::sync::Arc;
use std::time::Duration;

use chassis::{Chassis, deadline, faults, trace};
use storage::Cluster;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{Instrument as _, Span};
use types::{OperationId, UserId};

use crate::error::Error;
use crate::events;
use crate::metrics::Metrics;
use crate::payment::{Kind, Operation, Request, State};
use crate::provider::{Answer, Command, NoAnswer, Provider};
use crate::store::{self, Intent};

/// What is kept of the caller's deadline to write the result down.
const MARGIN: Duration = Duration::from_millis(150);
const WITHOUT_DEADLINE: Duration = Duration::from_secs(5);
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_millis(500);
/// How often a request looks again after others about the same payment came in between.
const ROUNDS_MAX: u32 = 5;

/// Carries operations out, for requests and for the resolver.
#[derive(Clone)]
pub(crate) struct Operations {
    cluster: Cluster<UserId>,
    provider: Arc<dyn Provider>,
    metrics: Metrics,
    chassis: Chassis,
    new_key_per_retry: bool,
}

/// What a request came to.
pub(crate) struct Ran {
    /// `None`: another operation of the payment has no outcome yet, and nothing was written.
    pub(crate) operation: Option<Operation>,
    /// Whether the key had been used before.
    pub(crate) replayed: bool,
}

enum Intended {
    Settled(Operation),
    Open(Intent),
    Repeated(Intent),
    /// To be settled first; `None` where it cannot be seen yet.
    Blocked(Option<Intent>),
}

impl Operations {
    pub(crate) fn new(
        chassis: &Chassis,
        cluster: &Cluster<UserId>,
        provider: Arc<dyn Provider>,
        metrics: &Metrics,
        new_key_per_retry: bool,
    ) -> Self {
        Self {
            cluster: cluster.clone(),
            provider,
            metrics: metrics.clone(),
            chassis: chassis.clone(),
            new_key_per_retry,
        }
    }

    /// Carries a request out. It goes on when the caller is gone: a call to the provider is no
    /// place to stop at.
    pub(crate) async fn run(&self, request: Request) -> Result<Ran, Error> {
        let this = self.clone();
        let task = async move { this.run_to_end(&request).await };
        self.chassis.tasks().spawn(task).await?
    }

    async fn run_to_end(&self, request: &Request) -> Result<Ran, Error> {
        for _ in 0..ROUNDS_MAX {
            let (operation, replayed) = match self.intend(request).await? {
                Intended::Settled(operation) => {
                    self.metrics.count(&operation);
                    (operation, false)
                }
                Intended::Open(intent) => (self.conclude(intent, false).await?, false),
                Intended::Repeated(intent) => (self.conclude(intent, true).await?, true),
                Intended::Blocked(None) => continue,
                Intended::Blocked(Some(other)) => {
                    if self.conclude(other, true).await?.state.is_settled() {
                        continue;
                    }
                    break;
                }
            };
            return Ok(Ran {
                operation: Some(operation),
                replayed,
            });
        }
        Ok(Ran {
            operation: None,
            replayed: false,
        })
    }

    /// Takes a due operation up, unless somebody else has.
    pub(crate) async fn resolve(&self, operation_id: OperationId) -> Result<(), Error> {
        let mut tx = self.cluster.begin_in(operation_id.slot()).await?;
        let claimed = store::claim_due(&mut tx, operation_id).await?;
        tx.commit().await?;
        let Some(intent) = claimed else {
            return Ok(());
        };
        let traceparent = intent.operation.traceparent.clone();
        let (order_id, kind) = (intent.payment.order_id, intent.operation.kind);
        let span = || {
            tracing::info_span!(
                "payment.resolve",
                order.id = %order_id,
                operation.kind = kind.name(),
            )
        };
        let concluding = self.conclude(intent, true);
        trace::resume(traceparent.as_deref(), span, concluding).await?;
        Ok(())
    }

    /// The first transaction: what becomes of the request, written down.
    async fn intend(&self, request: &Request) -> Result<Intended, Error> {
        let mut tx = self.cluster.begin(&request.payment_id).await?;
        match intent::write(&mut tx, request).await {
            Ok(intended) => {
                tx.commit().await?;
                if let Intended::Open(intent) = &intended {
                    at_fault_point(intent.operation.kind, "after_intent").await;
                }
                Ok(intended)
            }
            Err(error) => {
                tx.rollback().await;
                // Two requests with one key at once: the other one's operation is there by now.
                if matches!(
                    error.constraint(),
                    Some("operations_key" | "operations_pkey")
                ) {
                    return Ok(Intended::Blocked(None));
                }
                Err(error)
            }
        }
    }

    /// Calls the provider until it answers or time is up, and writes down how that ended.
    async fn conclude(&self, intent: Intent, repeated: bool) -> Result<Operation, Error> {
        if intent.operation.state.is_settled() {
            return Ok(intent.operation);
        }
        let order_id = intent.payment.order_id;
        Span::current().record("order.id", tracing::field::display(order_id));
        let kind = intent.operation.kind;
        let ended = match self.ask(&intent, repeated).await {
            Some(answer) => {
                at_fault_point(kind, "after_provider").await;
                self.settle(intent, &answer).await?
            }
            None => self.give_up(intent.operation).await?,
        };
        at_fault_point(kind, "after_result").await;
        Ok(ended)
    }

    /// The provider's answer; `None` when there is none in time.
    async fn ask(&self, intent: &Intent, repeated: bool) -> Option<Answer> {
        let left = deadline::remaining().unwrap_or(WITHOUT_DEADLINE);
        let until = Instant::now() + left.saturating_sub(MARGIN);
        let mut pause = RETRY_MIN;
        for attempt in u32::from(repeated).. {
            match self.attempt(intent, attempt, until).await {
                Ok(answer) => return Some(answer),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    order.id = %intent.payment.order_id,
                    operation.id = %intent.operation.operation_id,
                    attempt,
                    "the provider's answer is unknown"
                ),
            }
            let next = Instant::now() + pause;
            if next >= until {
                break;
            }
            sleep_until(next).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
        None
    }

    /// One call; when it is not the first, what became of the first is asked before.
    async fn attempt(
        &self,
        intent: &Intent,
        attempt: u32,
        until: Instant,
    ) -> Result<Answer, NoAnswer> {
        let key = self.provider_key(intent.operation.operation_id, attempt);
        let span = span(intent, attempt);
        let call = async {
            if attempt > 0
                && let Some(answer) = self.provider.find(&key).await?
            {
                return Ok(answer);
            }
            let reference = intent.payment.order_id.to_string();
            self.provider
                .submit(&key, &command(intent, &reference))
                .await
        };
        timeout_at(until, call.instrument(span)).await?
    }

    /// The operation's id, for ever: under another key the provider would do it again.
    fn provider_key(&self, operation_id: OperationId, attempt: u32) -> String {
        if self.new_key_per_retry && attempt > 0 {
            return format!("{operation_id}-{attempt}");
        }
        operation_id.to_string()
    }

    /// The second transaction: the provider's answer, and the event that tells it.
    async fn settle(&self, intent: Intent, answer: &Answer) -> Result<Operation, Error> {
        let Intent { operation, .. } = intent;
        let mut tx = self.cluster.begin(&operation.payment_id).await?;
        let Some(settled) = store::settle(&mut tx, &operation, answer).await? else {
            let found = store::find_intent(&mut tx, operation.operation_id).await?;
            tx.rollback().await;
            return Ok(found.ok_or(Error::NotFound)?.operation);
        };
        let operation = match answer {
            Answer::Succeeded { .. } => Operation {
                state: State::Succeeded,
                ..operation
            },
            Answer::Declined { reason } => Operation {
                state: State::Declined,
                reason: Some(reason.clone()),
                ..operation
            },
        };
        events::append(&mut tx, &operation, &settled).await?;
        tx.commit().await?;
        self.metrics.count(&operation);
        Ok(operation)
    }

    /// Leaves the operation to the resolver.
    async fn give_up(&self, operation: Operation) -> Result<Operation, Error> {
        let mut tx = self.cluster.begin(&operation.payment_id).await?;
        store::mark_unknown(&mut tx, operation.operation_id).await?;
        tx.commit().await?;
        let state = State::Unknown;
        let operation = Operation { state, ..operation };
        self.metrics.count(&operation);
        Ok(operation)
    }
}

fn span(intent: &Intent, attempt: u32) -> Span {
    if !trace::is_recording() {
        return Span::none();
    }
    tracing::info_span!(
        "provider",
        otel.name = intent.operation.kind.name(),
        otel.kind = "client",
        order.id = %intent.payment.order_id,
        attempt,
    )
}

fn command<'a>(intent: &'a Intent, reference: &'a str) -> Command<'a> {
    let Intent { payment, operation } = intent;
    let authorization = payment.provider_ref.as_deref().unwrap_or_default();
    let amount = operation.amount;
    match operation.kind {
        Kind::Authorize => Command::Authorize {
            amount,
            token: operation.payment_token.as_deref().unwrap_or_default(),
            reference,
        },
        Kind::Capture => Command::Capture {
            authorization,
            amount,
        },
        Kind::Void => Command::Void { authorization },
        Kind::Refund => Command::Refund {
            authorization,
            amount,
        },
    }
}

async fn at_fault_point(kind: Kind, stage: &str) {
    faults::point(&format!("{}.{stage}", kind.name())).await;
}
