//! What customers are written about their orders.

use ::events::{Event, outbox};
use proto::common::v1 as common;
use proto::order::v1::OrderConfirmed;
use proto::payment::v1::PaymentRefunded;
use proto::user::v1 as wire;
use types::{OrderId, PaymentId, UserId};

use crate::harness::Harness;

#[tokio::test]
async fn orders_and_refunds_are_told_by_mail_but_not_to_the_erased() {
    let harness = Harness::get();
    let (_, told) = harness.customer("told@example.com").await;
    let (erased, gone) = harness.customer("gone@example.com").await;
    erased.erase().await.unwrap();

    publish(harness, &gone, |user_id| confirmed(user_id, "ERASED01")).await;
    publish(harness, &told, |user_id| confirmed(user_id, "7K3QXW2M")).await;
    publish(harness, &told, refunded).await;

    let confirmation = harness.mail("7K3QXW2M").await;
    assert!(confirmation.contains("told@example.com"), "{confirmation}");
    let refund = harness.mail("is refunded").await;
    assert!(refund.contains("5.00 EUR"), "{refund}");
    assert!(harness.find_mail("ERASED01").is_none());
}

fn money(minor_units: i64) -> Option<common::Money> {
    Some(common::Money {
        minor_units,
        currency: "EUR".to_owned(),
    })
}

fn confirmed(user_id: UserId, number: &str) -> OrderConfirmed {
    OrderConfirmed {
        order_id: OrderId::new(user_id.slot()).to_string(),
        user_id: user_id.to_string(),
        number: number.to_owned(),
        total: money(1999),
        ..Default::default()
    }
}

fn refunded(user_id: UserId) -> PaymentRefunded {
    PaymentRefunded {
        payment_id: PaymentId::new(user_id.slot()).to_string(),
        order_id: OrderId::new(user_id.slot()).to_string(),
        user_id: user_id.to_string(),
        amount: money(500),
        ..Default::default()
    }
}

/// Puts another service's event into this service's outbox: its relay publishes any topic.
async fn publish<E: Event>(
    harness: &Harness,
    tokens: &wire::Tokens,
    event: impl FnOnce(UserId) -> E,
) {
    let user_id: UserId = tokens.user_id.parse().unwrap();
    let mut tx = harness.cluster().await.begin(&user_id).await.unwrap();
    outbox::append(&mut tx, &event(user_id)).await.unwrap();
    tx.commit().await.unwrap();
}
