//! What accounts publish, and the mails that orders and payments cause.

use ::events::{Consumer, Error, Received};
use async_trait::async_trait;
use jiff::Timestamp;
use proto::order::v1::{
    OrderCancelled, OrderConfirmed, OrderEventLine, OrderFulfilled, OrderRejected,
};
use proto::payment::v1::PaymentRefunded;
use proto::user::v1::{SessionRevoked, UserErased, UserRegistered};
use storage::WriteTx;
use types::{Money, OrderId, SessionId, Slot, UserId};

use crate::mail::{Line, Mail, Notice};
use crate::store;

/// What the service follows.
pub(crate) const TOPICS: [&str; 2] = ["order.events", "payment.events"];

pub(crate) fn registered(user_id: UserId, version: i64) -> UserRegistered {
    UserRegistered {
        user_id: user_id.to_string(),
        version,
    }
}

pub(crate) fn erased(user_id: UserId, version: i64) -> UserErased {
    UserErased {
        user_id: user_id.to_string(),
        version,
    }
}

pub(crate) fn session_revoked(
    session_id: SessionId,
    user_id: UserId,
    at: Timestamp,
) -> SessionRevoked {
    SessionRevoked {
        session_id: session_id.to_string(),
        user_id: user_id.to_string(),
        revoked_at: Some(proto::timestamp(at)),
    }
}

/// Writes the mails that events ask for; the mailer sends them.
pub(crate) struct Reactions;

#[async_trait]
impl Consumer<UserId> for Reactions {
    fn slots(&self, event: &Received) -> Result<Vec<Slot>, Error> {
        let letter = read(event)?;
        Ok(letter
            .map(|letter| letter.user_id.slot())
            .into_iter()
            .collect())
    }

    async fn on_event(&self, tx: &mut WriteTx, event: &Received) -> Result<(), Error> {
        if let Some(letter) = read(event)? {
            store::insert_mail(tx, event.id, letter.user_id, &letter.mail).await?;
        }
        Ok(())
    }
}

struct Letter {
    user_id: UserId,
    mail: Mail,
}

/// `None`: nobody is written about it.
fn read(event: &Received) -> Result<Option<Letter>, Error> {
    if let Some(event) = event.decode::<OrderConfirmed>().transpose()? {
        let total = money(event.total)?;
        let lines = lines(event.lines);
        let notice = Notice::Confirmed { lines, total };
        return letter(
            &event.user_id,
            &event.order_id,
            Some(&event.number),
            &notice,
        );
    }
    if let Some(event) = event.decode::<OrderRejected>().transpose()? {
        let number = Some(event.number.as_str());
        return letter(&event.user_id, &event.order_id, number, &Notice::Rejected);
    }
    if let Some(event) = event.decode::<OrderCancelled>().transpose()? {
        let number = Some(event.number.as_str());
        return letter(&event.user_id, &event.order_id, number, &Notice::Cancelled);
    }
    if let Some(event) = event.decode::<OrderFulfilled>().transpose()? {
        let notice = Notice::Shipped {
            lines: lines(event.lines),
            tracking_number: event.tracking_number,
            complete: event.complete,
        };
        return letter(
            &event.user_id,
            &event.order_id,
            Some(&event.number),
            &notice,
        );
    }
    if let Some(event) = event.decode::<PaymentRefunded>().transpose()? {
        let amount = money(event.amount)?;
        let notice = Notice::Refunded { amount };
        return letter(&event.user_id, &event.order_id, None, &notice);
    }
    Ok(None)
}

fn letter(
    user_id: &str,
    order_id: &str,
    number: Option<&str>,
    notice: &Notice,
) -> Result<Option<Letter>, Error> {
    let order_id: OrderId = order_id.parse()?;
    Ok(Some(Letter {
        user_id: user_id.parse()?,
        mail: Mail::new(order_id, number, notice),
    }))
}

fn lines(lines: Vec<OrderEventLine>) -> Vec<Line> {
    let lines = lines.into_iter().map(|line| Line {
        name: line.name,
        quantity: line.quantity,
    });
    lines.collect()
}

fn money(money: Option<proto::common::v1::Money>) -> Result<Money, Error> {
    Money::try_from(money.unwrap_or_default()).map_err(Error::reaction)
}
