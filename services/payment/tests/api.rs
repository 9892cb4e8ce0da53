//! The payment service as its callers see it, on real databases and with the simulator.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "api/faults.rs"]
mod faults;
#[path = "api/harness.rs"]
mod harness;
#[path = "api/ledger.rs"]
mod ledger;

use std::time::Duration;

use chassis::fault;
use harness::{Harness, Till, caller_chassis, charges, customer, staff, usd};
use proto::payment::v1::{Outcome, PaymentStatus};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Code;
use types::UserId;

const LIMIT: Duration = Duration::from_secs(20);

fn harness() -> &'static Harness {
    Harness::get(&[])
}

async fn assert_sound(till: &Till) {
    let findings = ledger::findings(&harness().databases, till.slot).await;
    assert!(findings.is_empty(), "{findings:#?}");
}

#[tokio::test]
async fn a_payment_is_authorized_captured_and_seen_by_its_owner_and_staff_alone() {
    let till = Till::open(harness()).await;

    let authorized = till.authorize("tok_ok").await;
    let captured = till.capture("capture").await;

    assert_eq!(authorized.outcome(), Outcome::Succeeded);
    assert_eq!(captured.outcome(), Outcome::Succeeded);
    let own = till.get_payment_as(customer(till.user_id)).await.unwrap();
    assert_eq!(own.status(), PaymentStatus::Captured);
    assert_eq!(own.operations.len(), 2);
    assert_eq!(till.get_payment().await, own);
    let amounts = (own.authorized, own.captured, own.refunded);
    assert_eq!(amounts, (usd(100), usd(100), usd(0)));
    let stranger = customer(UserId::new(till.slot));
    let refused = till.get_payment_as(stranger).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_sound(&till).await;
}

#[tokio::test]
async fn each_declining_card_says_why() {
    let till = Till::open(harness()).await;
    let cards = [
        ("tok_declined", "card-declined"),
        ("tok_insufficient_funds", "insufficient-funds"),
        ("tok_expired", "expired-card"),
        ("tok_requires_action", "authentication-required"),
    ];

    for (token, reason) in cards {
        let till = till.next_order();
        let declined = till.authorize(token).await;

        assert_eq!(declined.outcome(), Outcome::Declined);
        assert_eq!(declined.reason.as_deref(), Some(reason));
        assert_eq!(till.get_payment().await.status(), PaymentStatus::Declined);
        assert_eq!(till.void("void").await.outcome(), Outcome::Succeeded);
    }
    assert_sound(&till).await;
}

#[tokio::test]
async fn a_repeated_key_gets_the_first_answer_and_another_body_is_refused() {
    let till = Till::open(harness()).await;
    till.authorize("tok_ok").await;
    till.capture("capture").await;

    let first = till.refund("refund", Some(60)).await.unwrap();
    let again = till.refund("refund", Some(60)).await.unwrap();
    let other = till.refund("refund", Some(10)).await.unwrap_err();
    let authorized_again = till.authorize("tok_ok").await;

    assert_eq!(first.operation, again.operation);
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!(fault::reason(&other).as_deref(), Some("KEY_REUSED"));
    assert_eq!(authorized_again.outcome(), Outcome::Succeeded);
    assert_eq!(till.get_payment().await.refunded, usd(60));
    assert_sound(&till).await;
}

#[tokio::test]
async fn a_refused_refund_stays_refused_under_its_key() {
    let till = Till::open(harness()).await;
    till.authorize("tok_ok").await;
    till.capture("capture").await;

    for _ in 0..2 {
        let refused = till.refund("too-much", Some(101)).await.unwrap_err();

        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert_eq!(
            fault::reason(&refused).as_deref(),
            Some("REFUND_EXCEEDS_CAPTURED")
        );
    }
}

#[tokio::test]
async fn a_refund_without_an_amount_takes_what_is_left() {
    let till = Till::open(harness()).await;
    till.authorize("tok_ok").await;
    till.capture("capture").await;
    till.refund("first", Some(30)).await.unwrap();

    let rest = till.refund("rest", None).await.unwrap();

    assert_eq!(rest.operation.unwrap().amount, usd(70));
    assert_eq!(till.get_payment().await.status(), PaymentStatus::Refunded);
    assert_sound(&till).await;
}

#[tokio::test]
async fn an_authorization_after_its_void_is_declined_and_charges_nothing() {
    let till = Till::open(harness()).await;

    let voided = till.void("void").await;
    let late = till.authorize("tok_ok").await;

    assert_eq!(voided.outcome(), Outcome::Succeeded);
    assert_eq!(late.outcome(), Outcome::Declined);
    assert_eq!(late.reason.as_deref(), Some("already-voided"));
    assert!(charges(harness(), till.order_id).await.is_empty());
    assert_sound(&till).await;
}

#[tokio::test]
async fn a_void_lets_the_money_go_and_forbids_the_capture() {
    let till = Till::open(harness()).await;
    till.authorize("tok_ok").await;

    let voided = till.void("void").await;
    let capture = till.capture("capture").await;

    assert_eq!(voided.outcome(), Outcome::Succeeded);
    assert_eq!(capture.reason.as_deref(), Some("already-voided"));
    assert_eq!(till.get_payment().await.status(), PaymentStatus::Voided);
    assert_eq!(charges(harness(), till.order_id).await[0]["voided"], true);
    assert_sound(&till).await;
}

#[tokio::test]
async fn a_void_after_the_capture_is_declined() {
    let till = Till::open(harness()).await;
    till.authorize("tok_ok").await;
    till.capture("capture").await;

    let voided = till.void("void").await;

    assert_eq!(voided.outcome(), Outcome::Declined);
    assert_eq!(voided.reason.as_deref(), Some("already-captured"));
}

#[tokio::test]
async fn each_change_is_told_in_order() {
    let till = Till::open(harness()).await;
    let chassis = caller_chassis(harness()).await;
    let (told, mut events) = mpsc::unbounded_channel();
    let of_this_payment = till.payment_id.to_string();
    let topics = ["payment.events"];
    let config = &harness().config.events;
    events::follow::start(&chassis, config, &topics, LIMIT, move |event| {
        if event.key == of_this_payment {
            told.send((event.kind, event.version)).unwrap();
        }
    })
    .unwrap();

    till.authorize("tok_ok").await;
    till.capture("capture").await;
    till.refund("refund", None).await.unwrap();

    for (kind, version) in [("Authorized", 2), ("Captured", 3), ("Refunded", 4)] {
        let event = timeout(LIMIT, events.recv()).await.unwrap().unwrap();

        assert_eq!(event, (format!("payment.v1.Payment{kind}"), Some(version)));
    }
}

#[tokio::test]
async fn only_staff_and_the_order_service_move_money() {
    let till = Till::open(harness()).await;
    till.authorize("tok_ok").await;
    till.capture("capture").await;

    let by_customer = till
        .call(customer(till.user_id), LIMIT, async |mut client| {
            client.refund(till.refund_request("refund", Some(1))).await
        })
        .await;
    let capture_by_staff = till
        .call(staff(), LIMIT, async |mut client| {
            client.capture(till.capture_request("other")).await
        })
        .await;
    let refund_by_staff = till
        .call(staff(), LIMIT, async |mut client| {
            client.refund(till.refund_request("refund", Some(1))).await
        })
        .await;

    assert_eq!(by_customer.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(capture_by_staff.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(refund_by_staff.unwrap().outcome(), Outcome::Succeeded);
}

#[tokio::test]
async fn bad_input_names_its_field() {
    let till = Till::open(harness()).await;
    let good = till.authorize_request("authorize", "tok_ok");
    let euros = proto::common::v1::Money {
        minor_units: 1,
        currency: "eur".to_owned(),
    };
    let mut bad = vec![good.clone(); 7];
    bad[0].idempotency_key.clear();
    bad[1].payment_id = "7".to_owned();
    bad[2].amount = usd(0);
    bad[3].amount = usd(i64::MAX);
    bad[4].amount = Some(euros);
    bad[5].amount = None;
    bad[6].payment_token.clear();
    let fields = [
        "idempotencyKey",
        "paymentId",
        "amount.minorUnits",
        "amount.minorUnits",
        "amount.currency",
        "amount",
        "paymentMethod.token",
    ];

    for (request, field) in bad.into_iter().zip(fields) {
        let refused = till
            .as_order(async |mut client| client.authorize(request).await)
            .await
            .unwrap_err();

        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(fault::fields(&refused)[0].field, field);
    }
}

#[tokio::test]
async fn the_checker_catches_a_doctored_ledger() {
    let till = Till::open(harness()).await;
    till.authorize("tok_ok").await;
    till.capture("capture").await;
    assert_sound(&till).await;
    let databases = &harness().databases;
    let mut owner = ledger::connect(&databases.direct, till.slot).await;

    let mut findings_after = async |statement: &'static str| {
        sqlx::query(statement)
            .bind(till.slot.to_db())
            .execute(&mut owner)
            .await
            .unwrap();
        ledger::findings(databases, till.slot).await
    };

    let balance = findings_after(
        "update accounts set balance = balance + 1 where slot = $1 and kind = 'merchant_revenue'",
    )
    .await;
    let transfer =
        findings_after("update transfers set minor_units = 101 where slot = $1 and kind = 'post'")
            .await;

    assert_eq!(balance.len(), 2, "the sum and the fold: {balance:#?}");
    assert!(
        transfer.iter().any(|it| it.starts_with("more is undone")),
        "{transfer:#?}"
    );
}

#[tokio::test]
async fn the_service_may_not_change_the_ledger() {
    let till = Till::open(harness()).await;
    let mut service = ledger::connect(&harness().databases.shards, till.slot).await;

    for statement in [
        "update transfers set minor_units = 1",
        "delete from transfers",
    ] {
        let refused = sqlx::query(statement)
            .execute(&mut service)
            .await
            .unwrap_err();

        let code = refused.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("42501"), "insufficient privilege");
    }
}
