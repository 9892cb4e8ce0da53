use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use types::{FulfillmentId, OrderId, Sku};

use super::driver::Driver;
use super::{Event, State};
use crate::error::Error;
use crate::events;
use crate::order::{Fulfillment, Order, OrderStatus, ship};
use crate::store::{Change, Task, now};

const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Driver {
    /// Cancels the order, and waits while there is time until stock and money are given back. An
    /// order that is being cancelled or is cancelled is answered as it stands.
    pub(crate) async fn cancel(
        &self,
        order_id: OrderId,
        reason: Option<String>,
        by: String,
    ) -> Result<Order, Error> {
        let until = self.answer_until();
        let driver = self.clone();
        let tasks = self.chassis().tasks();
        let begun = tasks.spawn(async move { driver.begin_cancel(order_id, reason, by).await });
        let (order, undone) = begun.await??;
        let Some(undone) = undone else {
            return Ok(order);
        };
        match timeout_at(until, undone).await {
            Ok(last_seen) => Ok(last_seen?),
            Err(_) => Ok(order),
        }
    }

    async fn begin_cancel(
        &self,
        order_id: OrderId,
        reason: Option<String>,
        by: String,
    ) -> Result<(Order, Option<tokio::task::JoinHandle<Order>>), Error> {
        let mut tx = self.store().cluster.begin(&order_id).await?;
        let order = self.store().lock_order(&mut tx, order_id).await?;
        let order = order.ok_or(Error::OrderNotFound)?;
        if matches!(
            order.status,
            OrderStatus::Cancelling | OrderStatus::Cancelled
        ) {
            tx.rollback().await;
            return Ok((order, None));
        }
        let to = order.state().after(Event::CancelRequested);
        let Some(to) = to.filter(|_| !order.is_partly_fulfilled()) else {
            tx.rollback().await;
            return Err(Error::TooLate(order.status));
        };
        let change = Change {
            reason: reason.or_else(|| Some("requested".to_owned())),
            ..Change::new(to, by)
        };
        let moved = self.store().advance(&mut tx, &order, &change).await?;
        let moved = moved.ok_or(Error::Contended)?;
        tx.commit().await?;
        self.count(&order, &moved.order);
        let Some(step) = moved.order.step else {
            return Ok((moved.order, None));
        };
        let task = Task {
            order: moved.order.clone(),
            step,
            attempt: 1,
            payment_token: None,
            hold_left: moved.hold_left,
            age: Duration::ZERO,
        };
        let (tell, _) = oneshot::channel();
        Ok((moved.order, Some(self.spawn(task, tell))))
    }

    /// Ships items of a settled order; without items, all that is left.
    pub(crate) async fn fulfill(
        &self,
        order_id: OrderId,
        wanted: &[(Sku, i64)],
        tracking_number: Option<String>,
        by: String,
    ) -> Result<(Fulfillment, Order), Error> {
        let until = self.answer_until();
        loop {
            let mut tx = self.store().cluster.begin(&order_id).await?;
            let order = self.store().lock_order(&mut tx, order_id).await?;
            let order = order.ok_or(Error::OrderNotFound)?;
            if order.status != OrderStatus::Confirmed {
                tx.rollback().await;
                return Err(Error::TooLate(order.status));
            }
            if order.step.is_none() {
                return self.ship(tx, order, wanted, tracking_number, by).await;
            }
            // Its stock is not claimed or its money not taken yet.
            tx.rollback().await;
            if Instant::now() >= until {
                return Err(Error::NotSettled);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn ship(
        &self,
        mut tx: storage::WriteTx,
        mut order: Order,
        wanted: &[(Sku, i64)],
        tracking_number: Option<String>,
        by: String,
    ) -> Result<(Fulfillment, Order), Error> {
        let items = match ship(&mut order.lines, wanted) {
            Ok(items) => items,
            Err(error) => {
                tx.rollback().await;
                return Err(error);
            }
        };
        let shipment = Fulfillment {
            fulfillment_id: FulfillmentId::new(order.order_id.slot()),
            order_id: order.order_id,
            items,
            tracking_number,
            created_at: now(),
        };
        let complete = order
            .lines
            .iter()
            .all(|line| line.fulfilled == line.quantity);
        let to = match complete {
            true => order.state().after(Event::Shipped),
            false => Some(order.state()),
        };
        let to: State = to.ok_or(Error::Contended)?;
        let moved = self
            .store()
            .advance(&mut tx, &order, &Change::new(to, by))
            .await?;
        let moved = moved.ok_or(Error::Contended)?;
        self.store().fulfill(&mut tx, &order, &shipment).await?;
        events::append_fulfilled(&mut tx, &moved.order, &shipment, complete).await?;
        tx.commit().await?;
        self.count(&order, &moved.order);
        Ok((shipment, moved.order))
    }
}
