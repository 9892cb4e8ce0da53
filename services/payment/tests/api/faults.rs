//! Providers that fail, callers that come at once, processes that die.

use std::time::Duration;

use chassis::{Caller, fault};
use futures::{StreamExt as _, stream};
use proto::payment::v1::{Operation, Outcome, PaymentStatus};
use types::OperationId;

use crate::harness::{Till, charges, staff, usd};
use crate::{assert_sound, harness, ledger};

/// Faults may last a while; after them everything is settled in this time.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

async fn until(till: &Till, status: PaymentStatus) {
    testkit::eventually(SETTLED_WITHIN, async || {
        let payment = till.get_payment_as(staff()).await;
        payment.is_ok_and(|it| it.status() == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_charges_and_does_not_answer_charges_once() {
    let till = Till::open(harness()).await;

    let authorized = till.authorize("tok_timeout_after_charge").await;
    let captured = till.capture("capture").await;

    assert_eq!(authorized.outcome(), Outcome::Succeeded);
    assert_eq!(captured.outcome(), Outcome::Succeeded);
    let charges = charges(harness(), till.order_id).await;
    assert_eq!(charges.len(), 1);
    assert_eq!(charges[0]["captured"], 100);
    assert_sound(&till).await;
}

#[tokio::test]
async fn a_provider_that_fails_at_first_is_asked_again() {
    let till = Till::open(harness()).await;

    let authorized = till.authorize("tok_error_500").await;

    assert_eq!(authorized.outcome(), Outcome::Succeeded);
    assert_eq!(charges(harness(), till.order_id).await.len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_found_without_the_caller() {
    let till = Till::open(harness()).await;
    let order = Caller::service("order", Some(till.user_id));
    let request = till.authorize_request("authorize", "tok_slow_3s");

    let answer = till
        .call(order, Duration::from_millis(1000), async |mut client| {
            client.authorize(request).await
        })
        .await
        .unwrap();

    assert_eq!(answer.outcome(), Outcome::Unknown);
    until(&till, PaymentStatus::Authorized).await;
    assert_eq!(
        till.authorize("tok_slow_3s").await.outcome(),
        Outcome::Succeeded
    );
    assert_sound(&till).await;
}

#[tokio::test]
async fn a_void_waits_for_an_authorization_without_an_answer() {
    let till = Till::open(harness()).await;
    let order = Caller::service("order", Some(till.user_id));
    let request = till.authorize_request("authorize", "tok_timeout_after_charge");
    let unknown = till
        .call(order, Duration::from_millis(500), async |mut client| {
            client.authorize(request).await
        })
        .await
        .unwrap();

    let voided = till.void("void").await;

    assert_eq!(unknown.outcome(), Outcome::Unknown);
    assert_eq!(voided.outcome(), Outcome::Succeeded);
    let charges = charges(harness(), till.order_id).await;
    assert_eq!(charges.len(), 1);
    assert_eq!(charges[0]["voided"], true);
    assert_sound(&till).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_refunds_of_60_on_100_one_is_made() {
    let till = Till::open(harness()).await;
    till.authorize("tok_ok").await;
    till.capture("capture").await;

    let answers: Vec<_> = stream::iter(0..1_000)
        .map(|number| {
            let till = till.clone();
            async move { till.refund(&format!("refund-{number}"), Some(60)).await }
        })
        .buffer_unordered(16)
        .collect()
        .await;

    let granted = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err().and_then(fault::reason))
        .filter(|reason| reason == "REFUND_EXCEEDS_CAPTURED")
        .count();
    assert_eq!((granted, refused), (1, 999));
    assert_eq!(charges(harness(), till.order_id).await[0]["refunded"], 60);
    assert_eq!(till.get_payment().await.refunded, usd(60));
    assert_sound(&till).await;
}

#[tokio::test]
async fn one_key_at_once_from_many_callers_is_one_refund() {
    let till = Till::open(harness()).await;
    till.authorize("tok_ok").await;
    till.capture("capture").await;

    let answers: Vec<_> = stream::iter(0..20)
        .map(|_| async { till.refund("refund", Some(10)).await.unwrap() })
        .buffer_unordered(20)
        .collect()
        .await;

    let first = answers[0].operation.as_ref().unwrap();
    let same = |operation: &Operation| operation.operation_id == first.operation_id;
    assert!(
        answers
            .iter()
            .all(|answer| answer.operation.as_ref().is_some_and(same))
    );
    assert_eq!(till.get_payment().await.refunded, usd(10));
    assert_sound(&till).await;
}

#[tokio::test]
async fn an_intent_that_a_dead_process_left_behind_is_carried_out() {
    let till = Till::open(harness()).await;
    let mut service = ledger::connect(&harness().databases.shards, till.slot).await;

    sqlx::query(
        "with payment as (
             insert into payments (slot, payment_id, order_id, user_id, currency)
             values ($1, $2, $3, $4, 'USD')
         )
         insert into operations (
             slot, payment_id, operation_id, kind, key, request_hash, state, minor_units,
             currency, payment_token, due_at
         )
         values ($1, $2, $5, 'authorize', 'k', '', 'pending', 100, 'USD', 'tok_ok', now())",
    )
    .bind(till.slot.to_db())
    .bind(till.payment_id)
    .bind(till.order_id)
    .bind(till.user_id)
    .bind(OperationId::new(till.slot))
    .execute(&mut service)
    .await
    .unwrap();

    until(&till, PaymentStatus::Authorized).await;
    assert_eq!(charges(harness(), till.order_id).await.len(), 1);
    assert_sound(&till).await;
}
