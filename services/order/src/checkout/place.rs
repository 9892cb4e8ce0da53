use std::time::Duration;

use chassis::{deadline, trace};
use serde::{Deserialize, Serialize};
use storage::WriteTx;
use storage::idempotency::{self, Started};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::Span;
use types::{Money, OrderId, PaymentId, UserId};

use super::driver::Driver;
use super::{Draft, Step, draft};
use crate::error::Error;
use crate::events;
use crate::order::{Address, Order, OrderStatus, number};
use crate::store::{Placed, Task, now};

/// How often an order is written anew whose cart or number was taken by another.
const TRIES_MAX: u32 = 3;

/// Kept back from the caller's deadline, so that the answer still gets home.
const MARGIN: Duration = Duration::from_millis(150);

/// Past the time to wait for an answer, whoever was to give it has died.
const ANSWER_GRACE: Duration = Duration::from_secs(3);

const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A wish to order what is in the cart.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    pub(crate) user_id: UserId,
    pub(crate) key: String,
    pub(crate) request_hash: [u8; 32],
    /// Unknown, if it is an address of the customer that could not be found.
    pub(crate) shipping_address: Result<Address, tonic::Status>,
    pub(crate) payment_token: String,
    pub(crate) expected_total: Option<Money>,
    pub(crate) by: String,
}

/// What is kept under an idempotency key.
#[derive(Serialize, Deserialize)]
enum Kept {
    /// The answer is in the order.
    Order(OrderId),
    PriceChanged(Money),
}

enum Begun {
    New(Box<Order>, oneshot::Receiver<Order>),
    Before(OrderId),
}

impl Driver {
    /// Writes the order and waits for its decision while there is time; says also whether it is the
    /// answer to an earlier request. The work goes on when the caller is gone.
    pub(crate) async fn place(&self, placement: Placement) -> Result<(Order, bool), Error> {
        let until = self.answer_until();
        let driver = self.clone();
        let tasks = self.chassis().tasks();
        let begun = tasks.spawn(async move { driver.begin(&placement).await });
        match begun.await?? {
            Begun::New(order, decided) => {
                Span::current().record("order.id", tracing::field::display(order.order_id));
                let order = self.await_answer(order.order_id, decided, until).await?;
                Ok((order, false))
            }
            Begun::Before(order_id) => {
                Span::current().record("order.id", tracing::field::display(order_id));
                let order = self
                    .answer_again(order_id, until)
                    .await
                    .map_err(Error::replayed)?;
                Ok((order, true))
            }
        }
    }

    pub(super) fn answer_until(&self) -> Instant {
        let wait = Duration::from_millis(self.config().answer_wait_ms);
        let left = deadline::remaining().map(|left| left.saturating_sub(MARGIN));
        Instant::now() + left.map_or(wait, |left| left.min(wait))
    }

    async fn begin(&self, placement: &Placement) -> Result<Begun, Error> {
        for _ in 0..TRIES_MAX {
            if let Some(begun) = self.try_begin(placement).await? {
                return Ok(begun);
            }
        }
        Err(Error::Contended)
    }

    /// `None`: the cart has changed since it was priced, or the number is taken.
    async fn try_begin(&self, placement: &Placement) -> Result<Option<Begun>, Error> {
        let priced = self.price(placement).await;
        let priced = priced.map(|(draft, address)| (new_order(placement, &draft, address), draft));
        let kept = match &priced {
            Ok((order, _)) => Some(Kept::Order(order.order_id)),
            Err(Error::PriceChanged { total, .. }) => Some(Kept::PriceChanged(*total)),
            Err(_) => None,
        };
        let mut tx = self.store().cluster.begin(&placement.user_id).await?;
        match claim_key(&mut tx, placement, kept).await? {
            Started::New => {}
            Started::Replay(kept) => {
                tx.rollback().await;
                return before(&kept).map(Some);
            }
            Started::InProgress => return Err(Error::KeyInProgress),
            Started::Reused => return Err(Error::KeyReused),
        }
        let (order, draft) = match priced {
            Ok(priced) => priced,
            Err(error) => return Err(self.refuse(tx, placement.user_id, error).await?),
        };
        let placed = self
            .store()
            .place(
                &mut tx,
                &order,
                &draft,
                &placement.payment_token,
                &placement.by,
            )
            .await?;
        if placed != Placed::Written {
            tx.rollback().await;
            return Ok(None);
        }
        events::append_placed(&mut tx, &order).await?;
        tx.commit().await?;
        self.metrics().count(OrderStatus::Pending);
        let (tell, decided) = oneshot::channel();
        let task = Task {
            order: order.clone(),
            step: Step::Reserve,
            attempt: 1,
            payment_token: Some(placement.payment_token.clone()),
            hold_left: None,
            age: Duration::ZERO,
        };
        self.spawn(task, tell);
        Ok(Some(Begun::New(Box::new(order), decided)))
    }

    async fn price(&self, placement: &Placement) -> Result<(Draft, Address), Error> {
        let cart = self.store().find_newest_cart(placement.user_id).await?;
        let skus: Vec<_> = cart.items.iter().map(|item| item.sku.clone()).collect();
        let variants = match skus.as_slice() {
            [] => Default::default(),
            skus => self.peers().variants(skus).await?,
        };
        let address = placement.shipping_address.clone();
        let address = address.map_err(|status| Error::Peer {
            peer: "user",
            status: Box::new(status),
        })?;
        Ok((draft(cart, &variants, placement.expected_total)?, address))
    }

    /// A changed price is decided, and answered the same to whoever repeats the request; the cart
    /// shows it from now on. Anything else leaves nothing behind.
    async fn refuse(&self, mut tx: WriteTx, user_id: UserId, error: Error) -> Result<Error, Error> {
        let Error::PriceChanged { cart, .. } = &error else {
            tx.rollback().await;
            return Ok(error);
        };
        self.store().keep_prices(&mut tx, user_id, cart).await?;
        tx.commit().await?;
        Ok(error)
    }

    /// Waits for the decision; when the time is up, the order as it stands is the answer for good.
    async fn await_answer(
        &self,
        order_id: OrderId,
        decided: oneshot::Receiver<Order>,
        until: Instant,
    ) -> Result<Order, Error> {
        if let Ok(Ok(order)) = timeout_at(until, decided).await {
            return told(order);
        }
        loop {
            let order = self.store().find_newest_order(order_id).await?;
            let order = order.ok_or(Error::OrderNotFound)?;
            if order.status.is_decided() {
                return told(order);
            }
            if Instant::now() >= until {
                let kept = self
                    .store()
                    .keep_answer(order_id, order.now_as_answer())
                    .await?;
                return match kept {
                    Some(answer) => Ok(order.into_answered(answer)),
                    // Rejected at this very moment.
                    None => continue,
                };
            }
            tokio::time::sleep_until((Instant::now() + LOOK_AGAIN).min(until)).await;
        }
    }

    /// The first answer; or, if whoever was to give it has died, the first one now.
    async fn answer_again(&self, order_id: OrderId, until: Instant) -> Result<Order, Error> {
        let order = self.store().find_newest_order(order_id).await?;
        let order = order.ok_or(Error::OrderNotFound)?;
        if order.answer.is_some() || order.refusal.is_some() {
            return told(order);
        }
        let patience = Duration::from_millis(self.config().answer_wait_ms) + ANSWER_GRACE;
        if now().duration_since(order.created_at).unsigned_abs() < patience {
            return Err(Error::KeyInProgress);
        }
        let (tell, decided) = oneshot::channel();
        match self.store().take(order_id).await? {
            Some(task) => drop(self.spawn(task, tell)),
            None => drop(tell),
        }
        self.await_answer(order_id, decided, until).await
    }
}

/// What whoever placed the order is told of it, now or again.
fn told(order: Order) -> Result<Order, Error> {
    match (order.answer, &order.refusal) {
        (Some(answer), _) => Ok(order.into_answered(answer)),
        (None, Some(refusal)) => Err(Error::Refused {
            order_id: order.order_id,
            refusal: refusal.clone(),
        }),
        (None, None) => Ok(order),
    }
}

fn before(kept: &[u8]) -> Result<Begun, Error> {
    match serde_json::from_slice(kept) {
        Ok(Kept::Order(order_id)) => Ok(Begun::Before(order_id)),
        Ok(Kept::PriceChanged(total)) => Err(Error::PriceChanged {
            total,
            cart: Box::default(),
        }
        .replayed()),
        Err(_) => Err(Error::Answer("a stored answer cannot be read")),
    }
}

/// Claims the request's key for good if its answer is to be kept, and else until that is known.
async fn claim_key(
    tx: &mut WriteTx,
    placement: &Placement,
    kept: Option<Kept>,
) -> Result<Started, Error> {
    let (scope, key) = (placement.user_id.uuid(), placement.key.as_str());
    let hash = placement.request_hash;
    Ok(match kept {
        Some(kept) => {
            let kept = serde_json::to_vec(&kept);
            let kept = kept.map_err(|_| Error::Answer("an answer cannot be stored"))?;
            idempotency::begin_answered(tx, scope, key, hash, &kept).await?
        }
        None => idempotency::begin(tx, scope, key, hash).await?,
    })
}

fn new_order(placement: &Placement, draft: &Draft, address: Address) -> Order {
    let slot = placement.user_id.slot();
    let placed_at = now();
    Order {
        order_id: OrderId::new(slot),
        number: number(slot, rand::random()),
        user_id: placement.user_id,
        status: OrderStatus::Pending,
        step: Some(Step::Reserve),
        needs_operator: false,
        lines: draft.lines.clone(),
        total: draft.total,
        shipping_address: Some(address),
        payment_id: PaymentId::new(slot),
        traceparent: trace::traceparent(),
        refusal: None,
        answer: None,
        version: 1,
        created_at: placed_at,
        updated_at: placed_at,
    }
}
