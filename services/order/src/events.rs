//! What the order service publishes, and how it reacts to what others publish.

use ::events::{Consumer, Error as EventError, Received, outbox};
use async_trait::async_trait;
use proto::order::v1 as wire;
use proto::payment::v1::{PaymentAuthorized, PaymentCaptured};
use proto::user::v1::UserErased;
use storage::WriteTx;
use types::{OrderId, Slot, UserId};

use crate::checkout::Event;
use crate::error::Error;
use crate::order::{Fulfillment, Line, Order, ShippedItem};
use crate::store::{Change, Store};

/// The topics that the order service follows.
pub(crate) const FOLLOWED: [&str; 2] = ["user.events", "payment.events"];

pub(crate) async fn append_placed(tx: &mut WriteTx, order: &Order) -> Result<(), Error> {
    let event = wire::OrderPlaced {
        order_id: order.order_id.to_string(),
        user_id: order.user_id.to_string(),
        number: order.number.clone(),
        lines: order.lines.iter().map(line).collect(),
        total: Some(order.total.into()),
        payment_id: order.payment_id.to_string(),
    };
    outbox::append(tx, &event).await?;
    Ok(())
}

pub(crate) async fn append_confirmed(tx: &mut WriteTx, order: &Order) -> Result<(), Error> {
    let event = wire::OrderConfirmed {
        order_id: order.order_id.to_string(),
        user_id: order.user_id.to_string(),
        number: order.number.clone(),
        lines: order.lines.iter().map(line).collect(),
        total: Some(order.total.into()),
        payment_id: order.payment_id.to_string(),
    };
    outbox::append(tx, &event).await?;
    Ok(())
}

pub(crate) async fn append_rejected(tx: &mut WriteTx, order: &Order) -> Result<(), Error> {
    let reason = order.refusal.as_ref().map(|refusal| refusal.reason());
    let event = wire::OrderRejected {
        order_id: order.order_id.to_string(),
        user_id: order.user_id.to_string(),
        number: order.number.clone(),
        reason: reason.unwrap_or_default().to_owned(),
        lines: order.lines.iter().map(line).collect(),
    };
    outbox::append(tx, &event).await?;
    Ok(())
}

pub(crate) async fn append_cancelled(tx: &mut WriteTx, order: &Order) -> Result<(), Error> {
    let event = wire::OrderCancelled {
        order_id: order.order_id.to_string(),
        user_id: order.user_id.to_string(),
        number: order.number.clone(),
        reason: "cancelled".to_owned(),
        lines: order.lines.iter().map(line).collect(),
    };
    outbox::append(tx, &event).await?;
    Ok(())
}

pub(crate) async fn append_fulfilled(
    tx: &mut WriteTx,
    order: &Order,
    shipment: &Fulfillment,
    complete: bool,
) -> Result<(), Error> {
    let lines = shipment.items.iter();
    let event = wire::OrderFulfilled {
        order_id: order.order_id.to_string(),
        user_id: order.user_id.to_string(),
        number: order.number.clone(),
        fulfillment_id: shipment.fulfillment_id.to_string(),
        lines: lines.filter_map(|item| shipped(order, item)).collect(),
        tracking_number: shipment.tracking_number.clone(),
        complete,
    };
    outbox::append(tx, &event).await?;
    Ok(())
}

fn line(line: &Line) -> wire::OrderEventLine {
    wire::OrderEventLine {
        sku: line.sku.to_string(),
        product_id: line.product_id.to_string(),
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: Some(line.unit_price.into()),
        parts: line.parts.iter().map(Into::into).collect(),
    }
}

fn shipped(order: &Order, item: &ShippedItem) -> Option<wire::OrderEventLine> {
    let ordered = order.lines.iter().find(|line| line.sku == item.sku)?;
    Some(wire::OrderEventLine {
        quantity: item.quantity,
        ..line(ordered)
    })
}

/// What an event asks of the order service.
enum Reaction {
    Erase(UserId),
    /// Money was authorized or taken for the order.
    Money(OrderId),
}

fn reaction(event: &Received) -> Result<Option<Reaction>, EventError> {
    if let Some(erased) = event.decode::<UserErased>() {
        return Ok(Some(Reaction::Erase(erased?.user_id.parse()?)));
    }
    if let Some(authorized) = event.decode::<PaymentAuthorized>() {
        return Ok(Some(Reaction::Money(authorized?.order_id.parse()?)));
    }
    if let Some(captured) = event.decode::<PaymentCaptured>() {
        return Ok(Some(Reaction::Money(captured?.order_id.parse()?)));
    }
    Ok(None)
}

/// Follows users and payments.
pub(crate) struct Reactions {
    pub(crate) store: Store,
}

#[async_trait]
impl Consumer<UserId> for Reactions {
    fn slots(&self, event: &Received) -> Result<Vec<Slot>, EventError> {
        Ok(match reaction(event)? {
            Some(Reaction::Erase(user_id)) => vec![user_id.slot()],
            Some(Reaction::Money(order_id)) => vec![order_id.slot()],
            None => Vec::new(),
        })
    }

    async fn on_event(&self, tx: &mut WriteTx, event: &Received) -> Result<(), EventError> {
        match reaction(event)? {
            Some(Reaction::Erase(user_id)) => self.store.erase_user(tx, user_id).await,
            Some(Reaction::Money(order_id)) => self.on_money(tx, order_id).await,
            None => Ok(()),
        }
        .map_err(EventError::reaction)
    }
}

impl Reactions {
    /// An order that waits for its payment asks again at once; one that ended without it gives the
    /// money back. Any other knows already.
    async fn on_money(&self, tx: &mut WriteTx, order_id: OrderId) -> Result<(), Error> {
        if !self.store.hurry_authorization(tx, order_id).await? {
            return Ok(());
        }
        let Some(order) = self.store.lock_order(tx, order_id).await? else {
            return Ok(());
        };
        let Some(to) = order.state().after(Event::LateMoney) else {
            return Ok(());
        };
        let change = Change {
            reason: Some("late-payment".to_owned()),
            ..Change::new(to, "service:payment")
        };
        // The row is locked: nobody can have been faster.
        self.store.advance(tx, &order, &change).await.map(drop)
    }
}
