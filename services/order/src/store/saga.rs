use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::types::Json;
use storage::{Shard, WriteTx};
use types::{OrderId, Sku};

use super::orders::read_order;
use super::{Store, answer, instant};
use crate::checkout::{State, Step, passed};
use crate::error::Error;
use crate::order::{Order, OrderStatus, Part, Refusal};

/// One attempt at an order's step, which its driver has to itself while the lease lasts.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) order: Order,
    pub(crate) step: Step,
    pub(crate) attempt: i32,
    pub(crate) payment_token: Option<String>,
    /// What was left of the hold when the task was read, by the database's clock.
    pub(crate) hold_left: Option<Duration>,
    pub(crate) age: Duration,
}

/// The stock of an order, once it is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) until: Timestamp,
    pub(crate) parts: BTreeMap<Sku, Vec<Part>>,
}

/// What is written when an order changes.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) to: State,
    pub(crate) by: String,
    pub(crate) reason: Option<String>,
    pub(crate) attempt: i32,
    pub(crate) hold: Option<Hold>,
    pub(crate) refusal: Option<Refusal>,
}

/// An order after a change.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) order: Order,
    /// As [`Task::hold_left`].
    pub(crate) hold_left: Option<Duration>,
}

#[derive(sqlx::FromRow)]
struct MovedRow {
    answered_status: Option<OrderStatus>,
    answered_version: Option<i64>,
    answered_at: Option<jiff_sqlx::Timestamp>,
    hold_left_seconds: Option<f64>,
}

impl MovedRow {
    fn into_moved(self, mut order: Order) -> Moved {
        order.answer = answer(
            self.answered_status,
            self.answered_version,
            self.answered_at,
        );
        Moved {
            order,
            hold_left: self.hold_left_seconds.map(seconds),
        }
    }
}

#[derive(sqlx::FromRow)]
struct TimerRow {
    step: Step,
    attempt: i32,
    payment_token: Option<String>,
    hold_left_seconds: Option<f64>,
    age_seconds: f64,
}

impl Change {
    pub(crate) fn new(to: State, by: impl Into<String>) -> Self {
        Self {
            to,
            by: by.into(),
            reason: None,
            attempt: 1,
            hold: None,
            refusal: None,
        }
    }
}

/// One statement: the order with all that belongs to a change, or nothing if its version is another.
const ADVANCE: &str = "\
     with moved as (
         update orders
         set
             status = $4,
             version = $5,
             updated_at = $6,
             needs_operator = false,
             held_until = coalesce($7, held_until),
             refusal = $8,
             answered_status = coalesce(answered_status, $9),
             answered_version = coalesce(answered_version, $10),
             answered_at = coalesce(answered_at, $11)
         where slot = $1 and order_id = $2 and version = $3
         returning slot, answered_status, answered_version, answered_at, held_until
     ),
     history as (
         insert into order_history (
             slot, order_id, version, at, \"from\", \"to\", by, reason, attempt
         )
         select moved.slot, $2, $3 + entry.position, $6, entry.was, entry.became, $12, $13, $14
         from moved
         cross join unnest($15::text[], $16::text[])
             with ordinality as entry (was, became, position)
     ),
     held as (
         update order_lines
         set parts = held.parts
         from moved, unnest($17::text[], $18::jsonb[]) as held (sku, parts)
         where order_lines.slot = $1 and order_id = $2 and order_lines.sku = held.sku
     ),
     rearmed as (
         insert into saga_timers (slot, order_id, step, lease_until)
         select slot, $2, $19, now() + make_interval(secs => $20)
         from moved
         where $19::text is not null
         on conflict (slot, order_id) do update set
             step = excluded.step,
             attempt = 1,
             due_at = now(),
             lease_until = excluded.lease_until,
             payment_token =
                 case when excluded.step = 'authorize' then saga_timers.payment_token end
     ),
     ended as (
         delete from saga_timers
         where slot = $1
             and order_id = $2
             and $19::text is null
             and exists (select from moved)
     )
     select
         answered_status,
         answered_version,
         answered_at,
         extract(epoch from held_until - now())::float8 as hold_left_seconds
     from moved";

impl Store {
    /// Moves the order on, if nobody else has since it was read. One statement; the order is as it
    /// is written then. `None`: somebody else has.
    ///
    /// The first status that whoever placed the order can be told of is kept as their answer.
    pub(crate) async fn advance(
        &self,
        tx: &mut WriteTx,
        order: &Order,
        change: &Change,
    ) -> Result<Option<Moved>, Error> {
        let next = after(order, change);
        let statuses = passed(order.status, change.to.status);
        let before = std::iter::once(&order.status).chain(statuses);
        let from: Vec<&str> = before
            .map(|status| status.as_str())
            .take(statuses.len())
            .collect();
        let to: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
        let parts = change.hold.iter().flat_map(|hold| &hold.parts);
        let (skus, parts): (Vec<&str>, Vec<_>) = parts
            .map(|(sku, parts)| (sku.as_str(), Json(parts)))
            .unzip();
        let query = sqlx::query_as::<_, MovedRow>(ADVANCE)
            .bind(tx.slot().to_db())
            .bind(order.order_id)
            .bind(order.version)
            .bind(next.status)
            .bind(next.version)
            .bind(instant(next.updated_at))
            .bind(change.hold.as_ref().map(|hold| instant(hold.until)))
            .bind(next.refusal.as_ref().map(Json))
            .bind(next.answer.map(|answer| answer.status))
            .bind(next.answer.map(|answer| answer.version))
            .bind(next.answer.map(|answer| instant(answer.at)))
            .bind(&change.by)
            .bind(&change.reason)
            .bind(change.attempt)
            .bind(from)
            .bind(to)
            .bind(skus)
            .bind(parts)
            .bind(next.step)
            .bind(self.lease.as_secs_f64());
        let moved = query.fetch_optional(&mut *tx).await?;
        Ok(moved.map(|row| row.into_moved(next)))
    }

    /// Leaves the step to be tried again later; a task whose lease another has taken changes nothing.
    pub(crate) async fn postpone(
        &self,
        task: &Task,
        wait: Duration,
        needs_operator: bool,
    ) -> Result<(), Error> {
        let mut tx = self.cluster.begin(&task.order.order_id).await?;
        sqlx::query(
            "with postponed as (
                 update saga_timers
                 set due_at = now() + make_interval(secs => $5), lease_until = null
                 where slot = $1 and order_id = $2 and step = $3 and attempt = $4
                 returning slot
             )
             update orders
             set needs_operator = true, version = version + 1, updated_at = now()
             where slot = $1
                 and order_id = $2
                 and $6
                 and not needs_operator
                 and exists (select from postponed)",
        )
        .bind(tx.slot().to_db())
        .bind(task.order.order_id)
        .bind(task.step)
        .bind(task.attempt)
        .bind(wait.as_secs_f64())
        .bind(needs_operator)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Orders on the shard that are overdue and that no driver has, the most overdue first.
    pub(crate) async fn list_due(&self, shard: &Shard, limit: i64) -> Result<Vec<OrderId>, Error> {
        let mut primary = shard.primary_once().await?;
        let due = sqlx::query_scalar(
            "select order_id
             from saga_timers
             where due_at <= now()
                 and (lease_until is null or lease_until < now())
                 and slot = any($1)
             order by due_at
             limit $2",
        )
        .bind(shard.owned_slots())
        .bind(limit)
        .fetch_all(&mut primary)
        .await?;
        Ok(due)
    }

    /// How many orders on the shard are put off and need an operator. A settled order has no timer.
    pub(crate) async fn count_need_operator(&self, shard: &Shard) -> Result<i64, Error> {
        let mut primary = shard.primary_once().await?;
        let count = sqlx::query_scalar(
            "select count(*)
             from saga_timers
             join orders using (slot, order_id)
             where needs_operator and slot = any($1)",
        )
        .bind(shard.owned_slots())
        .fetch_one(&mut primary)
        .await?;
        Ok(count)
    }

    /// Takes the order's next attempt, unless another driver has it or the order is settled.
    pub(crate) async fn take(&self, order_id: OrderId) -> Result<Option<Task>, Error> {
        let mut tx = self.cluster.begin(&order_id).await?;
        let timer = sqlx::query_as::<_, TimerRow>(
            "with free as (
                 select slot, order_id
                 from saga_timers
                 where slot = $1
                     and order_id = $2
                     and (lease_until is null or lease_until < now())
                 for update skip locked
             )
             update saga_timers as timer
             set attempt = timer.attempt + 1, lease_until = now() + make_interval(secs => $3)
             from free
             join orders using (slot, order_id)
             where timer.slot = free.slot and timer.order_id = free.order_id
             returning
                 timer.step,
                 timer.attempt,
                 timer.payment_token,
                 extract(epoch from orders.held_until - now())::float8 as hold_left_seconds,
                 extract(epoch from now() - orders.created_at)::float8 as age_seconds",
        )
        .bind(tx.slot().to_db())
        .bind(order_id)
        .bind(self.lease.as_secs_f64())
        .fetch_optional(&mut tx)
        .await?;
        let order = match timer {
            Some(_) => read_order(&mut tx, order_id).await?,
            None => None,
        };
        let (Some(timer), Some(order)) = (timer, order) else {
            tx.rollback().await;
            return Ok(None);
        };
        tx.commit().await?;
        Ok(Some(Task {
            order,
            step: timer.step,
            attempt: timer.attempt,
            payment_token: timer.payment_token,
            hold_left: timer.hold_left_seconds.map(seconds),
            age: seconds(timer.age_seconds),
        }))
    }

    /// Has the order's payment asked for again at once, if it waits for it. `true`: the order has
    /// ended without one.
    pub(crate) async fn hurry_authorization(
        &self,
        tx: &mut WriteTx,
        order_id: OrderId,
    ) -> Result<bool, Error> {
        let ended = sqlx::query_scalar(
            "with hurried as (
                 update saga_timers
                 set due_at = now()
                 where slot = $1 and order_id = $2 and step = 'authorize'
             )
             select exists (
                 select
                 from orders
                 where slot = $1 and order_id = $2 and status in ('rejected', 'cancelled')
             )",
        )
        .bind(tx.slot().to_db())
        .bind(order_id)
        .fetch_one(&mut *tx)
        .await?;
        Ok(ended)
    }
}

/// The order as the change leaves it.
fn after(order: &Order, change: &Change) -> Order {
    let mut next = order.clone();
    let statuses = passed(order.status, change.to.status).len();
    next.status = change.to.status;
    next.step = change.to.step;
    next.version += i64::try_from(statuses).unwrap_or(1).max(1);
    next.updated_at = super::now();
    next.needs_operator = false;
    if let Some(refusal) = &change.refusal {
        next.refusal = Some(refusal.clone());
    }
    if let Some(hold) = &change.hold {
        for line in &mut next.lines {
            line.parts = hold.parts.get(&line.sku).cloned().unwrap_or_default();
        }
    }
    // A refusal is an answer in itself.
    if next.answer.is_none() && next.status.is_decided() && next.refusal.is_none() {
        next.answer = Some(next.now_as_answer());
    }
    next
}

/// The database's clock may jump: a negative time is none.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
