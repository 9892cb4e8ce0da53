//! The inventory service as its callers see it, on real databases whose replicas lag.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

#[path = "api/checker.rs"]
mod checker;
#[path = "api/harness.rs"]
mod harness;
#[path = "api/interleavings.rs"]
mod interleavings;
#[path = "api/order_events.rs"]
mod order_events;
#[path = "api/staff.rs"]
mod staff;

use std::time::Duration;

use chassis::fault;
use futures::future::join_all;
use harness::{Client, Harness, order_id, reserve, stock};
use proto::common::v1::StockPart;
use proto::inventory::v1::{self as wire, ClaimOutcome, ReserveOutcome, StockPolicy, StockStatus};
use tonic::Code;
use types::Sku;

const LIMIT: Duration = Duration::from_secs(10);

fn harness() -> &'static Harness {
    Harness::get(&[])
}

fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

/// The order service, and a SKU with so many units in one warehouse.
async fn shop(name: &str, on_hand: i64) -> (Client, Sku) {
    let sku = sku(name);
    harness().staff().await.stock(&sku, "east", on_hand).await;
    (harness().orders().await, sku)
}

async fn assert_sound(sku: &Sku, received: i64) {
    let findings = checker::findings(&harness().fixture.databases, sku, received).await;
    assert!(findings.is_empty(), "{findings:#?}");
}

#[tokio::test]
async fn a_claimed_hold_leaves_the_warehouse() {
    let (orders, sku) = shop("CLAIMED", 5).await;
    let order_id = order_id();

    let line = orders.hold(order_id, &sku, 2).await;
    let claimed = orders.claim(order_id, &sku).await;
    let claimed_again = orders.claim(order_id, &sku).await;

    assert_eq!(line.outcome(), ReserveOutcome::Held);
    assert_eq!(line.parts, [part("east", 2)]);
    assert_eq!([claimed, claimed_again], [ClaimOutcome::Claimed; 2]);
    assert_eq!(orders.available(&sku).await.available, 3);
    assert_sound(&sku, 5).await;
}

fn part(warehouse_id: &str, quantity: u32) -> StockPart {
    StockPart {
        warehouse_id: warehouse_id.to_owned(),
        quantity,
    }
}

#[tokio::test]
async fn a_repeated_reserve_answers_the_same_and_holds_once() {
    let (orders, sku) = shop("REPEATED", 5).await;
    let order_id = order_id();

    let first = orders.hold(order_id, &sku, 2).await;
    let again = orders.hold(order_id, &sku, 2).await;
    orders.claim(order_id, &sku).await;
    let after_claim = orders.hold(order_id, &sku, 2).await;

    assert_eq!(first, again);
    assert_eq!(first, after_claim);
    assert_eq!(orders.available(&sku).await.available, 3);
}

#[tokio::test]
async fn each_line_is_answered_by_itself() {
    let (orders, plenty) = shop("PLENTY", 5).await;
    let (_, scarce) = shop("SCARCE", 2).await;
    let unknown = sku("NOWHERE");

    let request = reserve(order_id(), &[(&plenty, 1), (&scarce, 3), (&unknown, 1)]);
    let lines = orders.reserve(request).await.unwrap().lines;

    let line = |sku: &Sku| lines.iter().find(|line| line.sku == sku.as_str()).unwrap();
    assert_eq!(line(&plenty).outcome(), ReserveOutcome::Held);
    assert_eq!(line(&scarce).outcome(), ReserveOutcome::OutOfStock);
    assert_eq!(line(&scarce).available, 2);
    assert_eq!(line(&unknown).outcome(), ReserveOutcome::UnknownSku);
}

#[tokio::test]
async fn an_order_is_split_over_warehouses_before_anything_is_backordered() {
    let (orders, sku) = shop("SPLIT", 3).await;
    let backordered = wire::PutStockRequest {
        policy: StockPolicy::Track.into(),
        backorder_limit: 4,
        ..stock(&sku, "west", 2)
    };
    harness().staff().await.put(backordered).await.unwrap();

    let shelf = orders.hold(order_id(), &sku, 4).await;
    let beyond = orders.hold(order_id(), &sku, 4).await;
    let level = orders.available(&sku).await;
    let refused = orders.hold(order_id(), &sku, 2).await;

    assert_eq!(shelf.parts, [part("east", 3), part("west", 1)]);
    assert_eq!(beyond.parts, [part("west", 4)]);
    assert_eq!(
        (level.status(), level.available),
        (StockStatus::Backorder, 1)
    );
    assert_eq!(
        (refused.outcome(), refused.available),
        (ReserveOutcome::OutOfStock, 1)
    );
    assert_sound(&sku, 5).await;
}

#[tokio::test]
async fn uncounted_stock_is_never_refused() {
    let sku = sku("UNCOUNTED");
    let uncounted = wire::PutStockRequest {
        policy: StockPolicy::None.into(),
        ..stock(&sku, "east", 0)
    };
    harness().staff().await.put(uncounted).await.unwrap();
    let (orders, order_id) = (harness().orders().await, order_id());

    let line = orders.hold(order_id, &sku, 1_000).await;
    let claimed = orders.claim(order_id, &sku).await;

    assert_eq!(
        (line.outcome(), claimed),
        (ReserveOutcome::Held, ClaimOutcome::Claimed)
    );
    assert_eq!(line.parts, [part("east", 1_000)]);
    assert_eq!(orders.available(&sku).await.status(), StockStatus::InStock);
}

#[tokio::test]
async fn a_release_gives_back_what_is_held_or_claimed_once() {
    let (orders, sku) = shop("RELEASED", 5).await;
    let (held, claimed) = (order_id(), order_id());
    orders.hold(held, &sku, 2).await;
    orders.hold(claimed, &sku, 3).await;
    orders.claim(claimed, &sku).await;

    for order_id in [held, claimed, held, claimed] {
        orders.release(order_id, &sku).await;
    }

    assert_eq!(orders.available(&sku).await.available, 5);
    assert_eq!(orders.claim(held, &sku).await, ClaimOutcome::Released);
    assert_sound(&sku, 5).await;
}

#[tokio::test]
async fn a_release_that_comes_first_refuses_a_late_reserve() {
    let (orders, sku) = shop("TOMBSTONE", 5).await;
    let order_id = order_id();

    let unknown = orders.claim(order_id, &sku).await;
    orders.release(order_id, &sku).await;
    let late = orders.hold(order_id, &sku, 1).await;

    assert_eq!(unknown, ClaimOutcome::Unknown);
    assert_eq!(late.outcome(), ReserveOutcome::Released);
    assert_eq!(orders.available(&sku).await.available, 5);
}

#[tokio::test]
async fn a_hold_past_its_time_is_given_back_and_can_be_held_again() {
    let (orders, sku) = shop("EXPIRED", 5).await;
    let order_id = order_id();
    let short = wire::ReserveRequest {
        hold: Some(prost_types::Duration {
            seconds: 0,
            nanos: 1_000_000,
        }),
        ..reserve(order_id, &[(&sku, 5)])
    };
    orders.reserve(short).await.unwrap();

    let given_back = async || (orders.available(&sku).await.available == 5).then_some(());
    testkit::eventually(LIMIT, given_back).await;
    let expired = orders.claim(order_id, &sku).await;
    let again = orders.hold(order_id, &sku, 5).await;

    assert_eq!(expired, ClaimOutcome::Expired);
    assert_eq!(again.outcome(), ReserveOutcome::Held);
    assert_eq!(orders.claim(order_id, &sku).await, ClaimOutcome::Claimed);
    assert_sound(&sku, 5).await;
}

#[tokio::test]
async fn two_hundred_buyers_get_fifty_units() {
    let (orders, sku) = shop("WANTED", 50).await;

    let buyers = (0..200).map(|_| orders.hold(order_id(), &sku, 1));
    let answers = join_all(buyers).await;

    let count = |outcome| {
        answers
            .iter()
            .filter(|line| line.outcome() == outcome)
            .count()
    };
    assert_eq!(count(ReserveOutcome::Held), 50);
    assert_eq!(count(ReserveOutcome::OutOfStock), 150);
    assert_eq!(orders.available(&sku).await.status(), StockStatus::Out);
    assert_sound(&sku, 50).await;
}

#[tokio::test]
async fn orders_that_share_skus_in_another_sequence_do_not_block_each_other() {
    let (orders, first) = shop("SHARED-1", 100).await;
    let (_, second) = shop("SHARED-2", 100).await;

    let calls = (0..40).map(|index| {
        let lines = if index % 2 == 0 {
            [&first, &second]
        } else {
            [&second, &first]
        };
        orders.reserve(reserve(order_id(), &lines.map(|sku| (sku, 1))))
    });
    let answers = join_all(calls).await;

    assert!(answers.iter().all(Result::is_ok));
    for sku in [first, second] {
        assert_eq!(orders.available(&sku).await.available, 60);
    }
}

#[tokio::test]
async fn only_the_order_service_reserves_and_only_staff_sets_stock() {
    let customer = harness().customer().await;
    let sku = sku("FORBIDDEN");

    let reserved = customer.reserve(reserve(order_id(), &[(&sku, 1)])).await;
    let put = customer.put(stock(&sku, "east", 1)).await;

    assert_eq!(reserved.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(put.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_bad_request_names_its_field() {
    let orders = harness().orders().await;
    let (first, second) = (sku("BAD-1"), sku("BAD-2"));
    let good = reserve(order_id(), &[(&first, 1)]);
    let lines = |lines: &[(&Sku, u32)]| reserve(order_id(), lines);
    let bad_id = wire::ReserveRequest {
        order_id: "x".to_owned(),
        ..good.clone()
    };
    let bad_hold = wire::ReserveRequest {
        hold: Some(prost_types::Duration {
            seconds: -1,
            nanos: 0,
        }),
        ..good
    };
    let requests = [
        (bad_id, "orderId"),
        (bad_hold, "hold"),
        (lines(&[]), "lines"),
        (lines(&[(&first, 0)]), "lines[0].quantity"),
        (
            lines(&[(&first, 1), (&second, 1_000_001)]),
            "lines[1].quantity",
        ),
        (lines(&[(&first, 1), (&first, 1)]), "lines[1].sku"),
    ];

    for (request, field) in requests {
        let refused = orders.reserve(request).await.unwrap_err();

        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(fault::fields(&refused)[0].field, field);
    }
}
