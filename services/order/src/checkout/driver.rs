use std::sync::Arc;
use std::time::Duration;

use chassis::{Chassis, Context, faults, trace};
use storage::WriteTx;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};
use types::OrderId;

use super::{Event, Step, passed};
use crate::config::{Compensation, Config};
use crate::error::Error;
use crate::events;
use crate::grpc::peers::{Authorized, Claimed, Peers, Reserved};
use crate::metrics::Metrics;
use crate::order::{Order, OrderStatus, Refusal, back_off};
use crate::store::{Change, Hold, Store, Task};

/// Takes orders from step to step: an intent is committed before each call, its result after it.
#[derive(Clone)]
pub(crate) struct Driver(Arc<Inner>);

struct Inner {
    chassis: Chassis,
    config: Config,
    store: Store,
    peers: Peers,
    metrics: Metrics,
}

/// What a step came to.
enum Attempt {
    Done(Outcome),
    /// Nothing is known yet.
    Later,
    /// What must not happen has happened: an operator is needed, and it is tried on.
    Stuck(&'static str),
}

struct Outcome {
    event: Event,
    hold: Option<Hold>,
    refusal: Option<Refusal>,
}

impl From<Event> for Attempt {
    fn from(event: Event) -> Self {
        Self::Done(Outcome {
            event,
            hold: None,
            refusal: None,
        })
    }
}

impl Attempt {
    fn refused(event: Event, refusal: Refusal) -> Self {
        Self::Done(Outcome {
            event,
            hold: None,
            refusal: Some(refusal),
        })
    }
}

impl Driver {
    pub(crate) fn new(chassis: &Chassis, config: &Config, store: Store, peers: Peers) -> Self {
        Self(Arc::new(Inner {
            chassis: chassis.clone(),
            config: config.clone(),
            store,
            peers,
            metrics: Metrics::register(chassis),
        }))
    }

    pub(crate) fn chassis(&self) -> &Chassis {
        &self.0.chassis
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn peers(&self) -> &Peers {
        &self.0.peers
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Drives the order in the background for as long as it goes on; says so as soon as whoever
    /// placed it can be told how it went. Ends with the order as it was last seen.
    pub(super) fn spawn(&self, task: Task, tell: oneshot::Sender<Order>) -> JoinHandle<Order> {
        let driver = self.clone();
        self.chassis()
            .tasks()
            .spawn(async move { driver.drive(task, Some(tell)).await })
    }

    pub(super) async fn drive(
        &self,
        mut task: Task,
        mut tell: Option<oneshot::Sender<Order>>,
    ) -> Order {
        loop {
            let started = Instant::now();
            let span = span(&task);
            let advanced = self
                .context(&task, self.config().lease())
                .scope(self.advance(&task))
                .instrument(span)
                .await;
            let Some(moved) = advanced else {
                return task.order;
            };
            if moved.order.status.is_decided()
                && let Some(tell) = tell.take()
            {
                // Whoever waited may have gone.
                let _ = tell.send(moved.order.clone());
            }
            let Some(step) = moved.order.step else {
                return moved.order;
            };
            task = Task {
                step,
                order: moved.order,
                attempt: 1,
                payment_token: task.payment_token.filter(|_| step == Step::Authorize),
                hold_left: moved.hold_left,
                age: task.age + started.elapsed(),
            };
        }
    }

    /// A step has a time of its own, whatever is left to the request; what it reads and writes
    /// counts as seen by the request.
    fn context(&self, task: &Task, limit: Duration) -> Context {
        let request = Context::current();
        Context {
            consistency: request.consistency,
            request_id: request.request_id,
            trace: request.trace,
            ..Context::for_worker(self.chassis().service(), Some(task.order.user_id), limit)
        }
    }

    /// One step: the calls, then their result. `None`: it is left to another attempt.
    async fn advance(&self, task: &Task) -> Option<crate::store::Moved> {
        let step = task.step.as_str();
        faults::point(&format!("{step}.after_intent")).await;
        // The calls end before the lease, so that there is time to write their result.
        let calls = self.context(task, self.config().step_timeout());
        let (wait_for, needs_operator) = match calls.scope(self.attempt(task)).await {
            Ok(Attempt::Done(outcome)) => {
                faults::point(&format!("{step}.after_call")).await;
                match self.write(task, outcome).await {
                    Ok(moved) => {
                        faults::point(&format!("{step}.after_result")).await;
                        return moved;
                    }
                    Err(error) => (error.to_string(), false),
                }
            }
            Ok(Attempt::Later) => ("the outcome is not known yet".to_owned(), false),
            Ok(Attempt::Stuck(why)) => (why.to_owned(), true),
            Err(error) => (error.to_string(), false),
        };
        let order_id = task.order.order_id;
        let needs_operator = needs_operator || task.attempt >= self.config().attempts_max;
        tracing::warn!(%order_id, step, task.attempt, needs_operator, wait_for, "a step is put off");
        let wait = back_off(task.attempt, rand::random());
        if let Err(error) = self.store().postpone(task, wait, needs_operator).await {
            // The lease runs out, and then a worker takes it.
            tracing::warn!(%order_id, %error, "a step could not be put off");
        }
        None
    }

    async fn attempt(&self, task: &Task) -> Result<Attempt, Error> {
        match task.step {
            Step::Reserve => self.reserve(task).await,
            Step::Authorize => self.authorize(task).await,
            Step::Settle => self.settle(&task.order).await,
            Step::Release => {
                self.release(&task.order).await?;
                Ok(Event::Undone.into())
            }
            Step::Undo => {
                self.release(&task.order).await?;
                faults::point("undo.after_release").await;
                self.give_back(&task.order).await
            }
        }
    }

    async fn reserve(&self, task: &Task) -> Result<Attempt, Error> {
        if task.age > Duration::from_millis(self.config().give_up_ms) {
            return Ok(Attempt::refused(Event::TimedOut, Refusal::TimedOut));
        }
        let hold = Duration::from_millis(self.config().hold_ms);
        Ok(match self.peers().reserve(&task.order, hold).await? {
            Reserved::Held(hold) => Attempt::Done(Outcome {
                event: Event::StockReserved,
                hold: Some(hold),
                refusal: None,
            }),
            Reserved::Refused(refusal) => Attempt::refused(Event::StockRefused, refusal),
        })
    }

    async fn authorize(&self, task: &Task) -> Result<Attempt, Error> {
        let started = Instant::now();
        let needed = Duration::from_millis(self.config().hold_left_min_ms);
        let too_late = || {
            let hold_left = task.hold_left.unwrap_or_default();
            hold_left.saturating_sub(started.elapsed()) < needed
        };
        let timed_out = || Attempt::refused(Event::TimedOut, Refusal::TimedOut);
        let Some(token) = &task.payment_token else {
            return Ok(Attempt::Stuck("the payment token is lost"));
        };
        if too_late() || task.age > Duration::from_millis(self.config().give_up_ms) {
            return Ok(timed_out());
        }
        Ok(match self.peers().authorize(&task.order, token).await? {
            Authorized::Yes if too_late() => timed_out(),
            Authorized::Yes => Event::PaymentAuthorized.into(),
            Authorized::Declined(why) => {
                Attempt::refused(Event::PaymentDeclined, Refusal::PaymentDeclined { why })
            }
            Authorized::Unknown => Attempt::Later,
        })
    }

    /// Claims the stock, held again where its time was over, then takes the money.
    async fn settle(&self, order: &Order) -> Result<Attempt, Error> {
        let mut claimed = self.peers().claim(order).await?;
        if claimed == Claimed::Expired {
            let hold = Duration::from_millis(self.config().hold_ms);
            if let Reserved::Refused(_) = self.peers().reserve(order, hold).await? {
                return Ok(Attempt::Stuck("the stock of a confirmed order is gone"));
            }
            claimed = self.peers().claim(order).await?;
        }
        match claimed {
            Claimed::Yes => {}
            Claimed::Expired => return Ok(Attempt::Later),
            Claimed::Gone => return Ok(Attempt::Stuck("a confirmed order has no stock")),
        }
        faults::point("settle.after_claim").await;
        Ok(match self.peers().capture(order).await? {
            Authorized::Yes => Event::Settled.into(),
            Authorized::Declined(_) => Attempt::Stuck("an authorized payment cannot be captured"),
            Authorized::Unknown => Attempt::Later,
        })
    }

    async fn release(&self, order: &Order) -> Result<(), Error> {
        if self.config().skips(Compensation::Release) {
            return Ok(());
        }
        self.peers().release(order).await
    }

    /// Void; and where that comes too late, refund.
    async fn give_back(&self, order: &Order) -> Result<Attempt, Error> {
        if self.config().skips(Compensation::Void) {
            return Ok(Event::Undone.into());
        }
        let mut given_back = self.peers().void(order).await?;
        if let Authorized::Declined(_) = given_back {
            faults::point("undo.after_void").await;
            given_back = self.peers().refund(order).await?;
        }
        Ok(match given_back {
            Authorized::Yes => Event::Undone.into(),
            Authorized::Declined(_) => Attempt::Stuck("money cannot be given back"),
            Authorized::Unknown => Attempt::Later,
        })
    }

    /// The result of a step, unless another driver came first.
    async fn write(
        &self,
        task: &Task,
        outcome: Outcome,
    ) -> Result<Option<crate::store::Moved>, Error> {
        let order = &task.order;
        let to = order.state().after(outcome.event);
        let to = to.ok_or(Error::Answer("a step has an impossible result"))?;
        let change = Change {
            reason: outcome.refusal.as_ref().map(|it| it.reason().to_owned()),
            attempt: task.attempt,
            hold: outcome.hold,
            refusal: outcome.refusal,
            ..Change::new(to, format!("service:{}", self.chassis().service()))
        };
        let mut tx = self.store().cluster.begin(&order.order_id).await?;
        let Some(moved) = self.store().advance(&mut tx, order, &change).await? else {
            tx.rollback().await;
            return Ok(None);
        };
        self.follow_up(&mut tx, order.status, &moved.order).await?;
        tx.commit().await?;
        self.count(order, &moved.order);
        Ok(Some(moved))
    }

    /// What goes with a change of status, in its transaction.
    async fn follow_up(
        &self,
        tx: &mut WriteTx,
        before: OrderStatus,
        order: &Order,
    ) -> Result<(), Error> {
        if before == order.status {
            return Ok(());
        }
        match order.status {
            OrderStatus::Confirmed => events::append_confirmed(tx, order).await?,
            OrderStatus::Rejected => {
                events::append_rejected(tx, order).await?;
                self.store()
                    .put_back(tx, order, self.config().limits())
                    .await?;
            }
            OrderStatus::Cancelled => events::append_cancelled(tx, order).await?,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn count(&self, before: &Order, order: &Order) {
        for status in passed(before.status, order.status) {
            self.metrics().count(*status);
        }
        if !before.status.is_decided() && order.status.is_decided() {
            self.metrics().observe_decision(order);
        }
    }

    /// Drives an order that nobody drives, if there is something to do for it.
    pub(super) async fn take_over(&self, order_id: OrderId) -> Result<(), Error> {
        let Some(task) = self.store().take(order_id).await? else {
            return Ok(());
        };
        let traceparent = task.order.traceparent.clone();
        let span = || tracing::info_span!("order.resume", order.id = %order_id);
        trace::resume(traceparent.as_deref(), span, self.drive(task, None)).await;
        Ok(())
    }
}

fn span(task: &Task) -> Span {
    if !trace::is_recording() {
        return Span::none();
    }
    tracing::info_span!(
        "order.step",
        otel.name = format!("order {}", task.step.as_str()),
        order.id = %task.order.order_id,
        order.attempt = task.attempt,
    )
}
