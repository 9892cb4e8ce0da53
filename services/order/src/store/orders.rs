use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use storage::WriteTx;
use types::{OrderId, UserId};

use super::{LineRow, OrderRow, Store, instant, joined, signed};
use crate::checkout::{Draft, Step};
use crate::error::Error;
use crate::order::{Answer, Line, Order, OrderStatus};

/// The sort key of a customer's orders.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cursor {
    pub(crate) created_at: Timestamp,
    pub(crate) order_id: OrderId,
}

/// One change of status.
#[derive(Clone, Debug)]
pub(crate) struct TimelineEntry {
    pub(crate) at: Timestamp,
    pub(crate) from: Option<OrderStatus>,
    pub(crate) to: OrderStatus,
    pub(crate) by: String,
    pub(crate) reason: Option<String>,
    pub(crate) attempt: u32,
}

#[derive(sqlx::FromRow)]
struct TimelineRow {
    at: jiff_sqlx::Timestamp,
    from: Option<OrderStatus>,
    to: OrderStatus,
    by: String,
    reason: Option<String>,
    attempt: i32,
}

/// How writing an order went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    Written,
    /// The cart is no longer the one that was priced.
    CartChanged,
    /// Another order has the number.
    NumberTaken,
}

/// One statement: an order, its number, its lines and its first step, or nothing.
const PLACE: &str = "\
     with emptied as (
         update carts
         set version = version + 1, updated_at = now()
         where slot = $1 and cart_id = $2 and version = $3 and state = 'open'
         returning slot
     ),
     no_items as (
         delete from cart_items
         where slot = $1 and cart_id = $2 and exists (select from emptied)
     ),
     numbered as (
         insert into order_numbers (slot, number, order_id)
         select slot, $6, $4 from emptied
         on conflict do nothing
         returning slot
     ),
     placed as (
         insert into orders (
             slot, order_id, user_id, number, status, minor_units, currency,
             shipping_address, payment_id, traceparent, created_at, updated_at
         )
         select slot, $4, $5, $6, 'pending', $7, $8, $9, $10, $11, $12, $12
         from numbered
     ),
     lines as (
         insert into order_lines (
             slot, order_id, sku, product_id, name, options, quantity, minor_units, currency
         )
         select $1, $4, line.*, $8
         from unnest(
             $13::text[], $14::uuid[], $15::text[], $16::jsonb[], $17::integer[],
             $18::bigint[]
         ) as line
         where exists (select from numbered)
     ),
     history as (
         insert into order_history (slot, order_id, version, at, \"to\", by, attempt)
         select slot, $4, 1, $12, 'pending', $19, 1 from numbered
     ),
     timer as (
         insert into saga_timers (slot, order_id, step, lease_until, payment_token)
         select slot, $4, $20, now() + make_interval(secs => $21), $22 from numbered
     )
     select (select count(*) from emptied), (select count(*) from numbered)";

impl Store {
    /// Writes the order, empties its cart, and notes what is to be done first. One statement.
    pub(crate) async fn place(
        &self,
        tx: &mut WriteTx,
        order: &Order,
        draft: &Draft,
        payment_token: &str,
        by: &str,
    ) -> Result<Placed, Error> {
        let lines = &order.lines;
        let skus: Vec<&str> = lines.iter().map(|line| line.sku.as_str()).collect();
        let products: Vec<_> = lines.iter().map(|line| line.product_id.uuid()).collect();
        let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        let options: Vec<_> = lines.iter().map(|line| Json(&line.options)).collect();
        let quantities: Vec<i32> = lines.iter().map(|line| signed(line.quantity)).collect();
        let prices: Vec<i64> = lines
            .iter()
            .map(|line| line.unit_price.minor_units)
            .collect();
        let query = sqlx::query_as::<_, (i64, i64)>(PLACE)
            .bind(tx.slot().to_db())
            .bind(draft.cart_id)
            .bind(draft.cart_version)
            .bind(order.order_id)
            .bind(order.user_id)
            .bind(&order.number)
            .bind(order.total.minor_units)
            .bind(order.total.currency.code())
            .bind(order.shipping_address.as_ref().map(Json))
            .bind(order.payment_id)
            .bind(&order.traceparent)
            .bind(instant(order.created_at))
            .bind(skus)
            .bind(products)
            .bind(names)
            .bind(options)
            .bind(quantities)
            .bind(prices)
            .bind(by)
            .bind(Step::Reserve)
            .bind(self.lease.as_secs_f64())
            .bind(payment_token);
        Ok(match query.fetch_one(&mut *tx).await? {
            (0, _) => Placed::CartChanged,
            (_, 0) => Placed::NumberTaken,
            _ => Placed::Written,
        })
    }

    /// The order as the caller may see it.
    pub(crate) async fn find_order(&self, order_id: OrderId) -> Result<Option<Order>, Error> {
        let mut snapshot = self.cluster.shard(&order_id).replica().await?;
        read_order(&mut snapshot, order_id).await
    }

    /// The newest order, whatever the caller has seen.
    pub(crate) async fn find_newest_order(
        &self,
        order_id: OrderId,
    ) -> Result<Option<Order>, Error> {
        let mut snapshot = self.cluster.shard(&order_id).primary().await?;
        read_order(&mut snapshot, order_id).await
    }

    /// The newest order, locked until the transaction ends.
    pub(crate) async fn lock_order(
        &self,
        tx: &mut WriteTx,
        order_id: OrderId,
    ) -> Result<Option<Order>, Error> {
        // By itself, so that the next statement sees what was committed while the lock was waited for.
        sqlx::query("select from orders where slot = $1 and order_id = $2 for update")
            .bind(order_id.slot().to_db())
            .bind(order_id)
            .execute(&mut *tx)
            .await?;
        read_order(tx, order_id).await
    }

    /// The customer's orders after the cursor, newest first.
    pub(crate) async fn list_orders(
        &self,
        user_id: UserId,
        status: Option<OrderStatus>,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<Order>, Error> {
        let mut snapshot = self.cluster.shard(&user_id).replica().await?;
        let (created_at, order_id) = after
            .map(|cursor| (instant(cursor.created_at), cursor.order_id))
            .unzip();
        let rows = sqlx::query_as::<_, OrderRow>(
            "select orders.*, saga_timers.step
             from orders
             left join saga_timers using (slot, order_id)
             where slot = $1
                 and user_id = $2
                 and ($3::text is null or status = $3)
                 and ($4::timestamptz is null or (orders.created_at, order_id) < ($4, $5))
             order by orders.created_at desc, order_id desc
             limit $6",
        )
        .bind(user_id.slot().to_db())
        .bind(user_id)
        .bind(status)
        .bind(created_at)
        .bind(order_id)
        .bind(i64::from(limit))
        .fetch_all(&mut snapshot)
        .await?;
        let order_ids: Vec<_> = rows.iter().map(|row| row.order_id.uuid()).collect();
        let lines = sqlx::query_as::<_, LineRow>(LIST_LINES)
            .bind(user_id.slot().to_db())
            .bind(order_ids)
            .fetch_all(&mut snapshot)
            .await?;
        joined(rows, lines)
    }

    pub(crate) async fn list_timeline(
        &self,
        order_id: OrderId,
    ) -> Result<Vec<TimelineEntry>, Error> {
        let mut snapshot = self.cluster.shard(&order_id).replica().await?;
        let rows = sqlx::query_as::<_, TimelineRow>(
            "select at, \"from\", \"to\", by, reason, attempt
             from order_history
             where slot = $1 and order_id = $2
             order by version",
        )
        .bind(order_id.slot().to_db())
        .bind(order_id)
        .fetch_all(&mut snapshot)
        .await?;
        let entries = rows.into_iter().map(|row| TimelineEntry {
            at: row.at.to_jiff(),
            from: row.from,
            to: row.to,
            by: row.by,
            reason: row.reason,
            attempt: row.attempt.unsigned_abs(),
        });
        Ok(entries.collect())
    }

    /// Keeps what is answered to whoever placed the order, unless something was answered before;
    /// answers with what is kept. `None`: the order is rejected, which is an answer in itself.
    pub(crate) async fn keep_answer(
        &self,
        order_id: OrderId,
        answer: Answer,
    ) -> Result<Option<Answer>, Error> {
        let mut tx = self.cluster.begin(&order_id).await?;
        let kept = sqlx::query_as::<_, (OrderStatus, i64, jiff_sqlx::Timestamp)>(
            "update orders
             set
                 answered_status = coalesce(answered_status, $3),
                 answered_version = coalesce(answered_version, $4),
                 answered_at = coalesce(answered_at, $5)
             where slot = $1
                 and order_id = $2
                 and (refusal is null or answered_status is not null)
             returning answered_status, answered_version, answered_at",
        )
        .bind(tx.slot().to_db())
        .bind(order_id)
        .bind(answer.status)
        .bind(answer.version)
        .bind(instant(answer.at))
        .fetch_optional(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(kept.map(|(status, version, at)| Answer {
            status,
            version,
            at: at.to_jiff(),
        }))
    }

    /// Writes a shipment and what is shipped of each line by now.
    pub(crate) async fn fulfill(
        &self,
        tx: &mut WriteTx,
        order: &Order,
        shipment: &crate::order::Fulfillment,
    ) -> Result<(), Error> {
        let shipped: Vec<&Line> = order
            .lines
            .iter()
            .filter(|line| line.fulfilled > 0)
            .collect();
        let skus: Vec<&str> = shipped.iter().map(|line| line.sku.as_str()).collect();
        let counts: Vec<i32> = shipped.iter().map(|line| signed(line.fulfilled)).collect();
        sqlx::query(
            "with shipped as (
                 update order_lines
                 set fulfilled = now_shipped.fulfilled
                 from unnest($3::text[], $4::integer[]) as now_shipped (sku, fulfilled)
                 where slot = $1 and order_id = $2 and order_lines.sku = now_shipped.sku
             )
             insert into fulfillments (
                 slot, order_id, fulfillment_id, lines, tracking_number, created_at
             )
             values ($1, $2, $5, $6, $7, $8)",
        )
        .bind(tx.slot().to_db())
        .bind(order.order_id)
        .bind(skus)
        .bind(counts)
        .bind(shipment.fulfillment_id)
        .bind(Json(&shipment.items))
        .bind(&shipment.tracking_number)
        .bind(instant(shipment.created_at))
        .execute(&mut *tx)
        .await?;
        Ok(())
    }

    /// Forgets where the user's orders went, and the user's cart.
    pub(crate) async fn erase_user(&self, tx: &mut WriteTx, user_id: UserId) -> Result<(), Error> {
        sqlx::query(
            "with no_cart as (
                 delete from carts
                 where slot = $1 and user_id = $2
             )
             update orders
             set shipping_address = null, version = version + 1, updated_at = now()
             where slot = $1 and user_id = $2 and shipping_address is not null",
        )
        .bind(tx.slot().to_db())
        .bind(user_id)
        .execute(&mut *tx)
        .await?;
        Ok(())
    }
}

const LIST_LINES: &str = "\
    select *
    from order_lines
    where slot = $1 and order_id = any($2)";

pub(super) async fn read_order<E>(
    executor: &mut E,
    order_id: OrderId,
) -> Result<Option<Order>, Error>
where
    for<'c> &'c mut E: sqlx::Executor<'c, Database = sqlx::Postgres>,
{
    let row = sqlx::query_as::<_, OrderRow>(
        "select orders.*, saga_timers.step
         from orders
         left join saga_timers using (slot, order_id)
         where slot = $1 and order_id = $2",
    )
    .bind(order_id.slot().to_db())
    .bind(order_id)
    .fetch_optional(&mut *executor)
    .await?;
    let lines = sqlx::query_as::<_, LineRow>(LIST_LINES)
        .bind(order_id.slot().to_db())
        .bind(vec![order_id.uuid()])
        .fetch_all(&mut *executor)
        .await?;
    Ok(joined(row.into_iter().collect(), lines)?.pop())
}
