//! What inventory tells others, and how it reacts to orders.

use std::time::Duration;

use chassis::Chassis;
use events::{Event, Received, follow};
use proto::inventory::v1::{ClaimOutcome, LowStockReached, StockLevelChanged, StockStatus};
use proto::order::v1::{
    OrderCancelled, OrderConfirmed, OrderEventLine, OrderFulfilled, OrderRejected,
};
use sqlx::query_as;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::{EventId, OrderId, Sku};

use super::harness::{self, config};
use super::{LIMIT, checker, order_id, part, shop, sku, stock};

/// Everything that inventory publishes of one SKU.
struct Published(mpsc::UnboundedReceiver<Received>);

impl Published {
    async fn follow(sku: &Sku) -> Self {
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = config(super::harness().fixture.flags());
        let chassis =
            Chassis::start("gateway", &config.chassis, admin, CancellationToken::new()).unwrap();
        let (found, events) = mpsc::unbounded_channel();
        let key = sku.to_string();
        let on_event = move |event: Received| {
            if event.key == key {
                // The test may have ended already.
                let _ = found.send(event);
            }
        };
        let since = Duration::from_secs(60);
        let follower = follow::start(
            &chassis,
            &config.events,
            &["inventory.events"],
            since,
            on_event,
        );
        follower.unwrap().caught_up().await;
        Self(events)
    }

    async fn next<E: Event>(&mut self) -> E {
        let event = tokio::time::timeout(LIMIT, self.0.recv()).await.unwrap();
        event.unwrap().decode().unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_change_of_status_and_a_crossed_threshold_are_told_in_order() {
    let sku = sku("TOLD");
    let mut published = Published::follow(&sku).await;
    let (staff, orders) = (
        super::harness().staff().await,
        super::harness().orders().await,
    );
    let threshold = proto::inventory::v1::PutStockRequest {
        low_stock_threshold: 1,
        ..stock(&sku, "east", 3)
    };

    staff.put(threshold).await.unwrap();
    for _ in 0..3 {
        orders.hold(order_id(), &sku, 1).await;
    }

    let set: StockLevelChanged = published.next().await;
    let low: StockLevelChanged = published.next().await;
    let reached: LowStockReached = published.next().await;
    let out: StockLevelChanged = published.next().await;
    assert_eq!((set.status(), set.available), (StockStatus::InStock, 3));
    assert_eq!((low.status(), low.available), (StockStatus::Low, 1));
    assert_eq!((reached.available, reached.threshold), (1, 1));
    assert_eq!((out.status(), out.available), (StockStatus::Out, 0));
    assert!(set.version < low.version && low.version < out.version);
}

/// Publishes the event as the order service would, by an outbox.
async fn publish<E: Event>(order_id: OrderId, event: &E) {
    let databases = &super::harness().fixture.databases;
    let mut connection = checker::connect(databases, order_id.slot()).await;
    sqlx::query(
        "insert into outbox (slot, event_id, topic, key, type, payload)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(order_id.slot().to_db())
    .bind(EventId::new(order_id.slot()))
    .bind(E::TOPIC)
    .bind(event.key())
    .bind(E::TYPE)
    .bind(event.encode_to_vec())
    .execute(&mut connection)
    .await
    .unwrap();
}

fn line(sku: &Sku, parts: &[(&str, u32)]) -> OrderEventLine {
    OrderEventLine {
        sku: sku.to_string(),
        parts: parts
            .iter()
            .map(|(warehouse, quantity)| part(warehouse, *quantity))
            .collect(),
        ..Default::default()
    }
}

async fn pick_lists(order_id: OrderId) -> Vec<(String, String, String)> {
    let databases = &super::harness().fixture.databases;
    let mut connection = checker::connect(databases, order_id.slot()).await;
    query_as(
        "select warehouse_id, lines::text, state
         from pick_lists
         where slot = $1 and order_id = $2
         order by warehouse_id",
    )
    .bind(order_id.slot().to_db())
    .bind(order_id)
    .fetch_all(&mut connection)
    .await
    .unwrap()
}

async fn wait_for_pick_lists(order_id: OrderId, states: &[&str]) -> Vec<(String, String, String)> {
    testkit::eventually(LIMIT, async || {
        let lists = pick_lists(order_id).await;
        lists
            .iter()
            .map(|list| list.2.as_str())
            .eq(states.iter().copied())
            .then_some(lists)
    })
    .await
}

fn confirmed(order_id: OrderId, lines: Vec<OrderEventLine>) -> OrderConfirmed {
    OrderConfirmed {
        order_id: order_id.to_string(),
        lines,
        ..Default::default()
    }
}

#[tokio::test]
async fn each_warehouse_gets_a_pick_list_that_ends_when_all_is_shipped() {
    let order_id = order_id();
    let lines = vec![
        line(&sku("PICK-1"), &[("east", 2), ("west", 1)]),
        line(&sku("PICK-2"), &[("east", 1)]),
    ];
    let fulfilled = OrderFulfilled {
        order_id: order_id.to_string(),
        complete: true,
        ..Default::default()
    };

    publish(order_id, &confirmed(order_id, lines)).await;
    let lists = wait_for_pick_lists(order_id, &["open", "open"]).await;
    publish(order_id, &fulfilled).await;
    wait_for_pick_lists(order_id, &["done", "done"]).await;

    let lines: Vec<_> = lists
        .iter()
        .map(|(warehouse, lines, _)| (&**warehouse, &**lines))
        .collect();
    let east = r#"[{"sku": "PICK-1", "quantity": 2}, {"sku": "PICK-2", "quantity": 1}]"#;
    let west = r#"[{"sku": "PICK-1", "quantity": 1}]"#;
    assert_eq!(lines, [("east", east), ("west", west)]);
}

#[tokio::test]
async fn what_a_cancelled_order_left_behind_is_given_back() {
    let (orders, sku) = shop("CANCELLED", 5).await;
    let order_id = order_id();
    orders.hold(order_id, &sku, 2).await;
    assert_eq!(orders.claim(order_id, &sku).await, ClaimOutcome::Claimed);
    let lines = vec![line(&sku, &[("east", 2)])];
    let cancelled = OrderCancelled {
        order_id: order_id.to_string(),
        lines: lines.clone(),
        ..Default::default()
    };

    publish(order_id, &confirmed(order_id, lines)).await;
    publish(order_id, &cancelled).await;

    wait_for_pick_lists(order_id, &["cancelled"]).await;
    let given_back = async || (on_hand(&sku).await == 5).then_some(());
    testkit::eventually(LIMIT, given_back).await;
}

async fn on_hand(sku: &Sku) -> i64 {
    let databases = &super::harness().fixture.databases;
    let mut connection = checker::connect(databases, sku.slot()).await;
    let (on_hand,) = query_as("select on_hand - reserved from stock where slot = $1 and sku = $2")
        .bind(sku.slot().to_db())
        .bind(sku)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    on_hand
}

#[tokio::test]
async fn what_a_rejected_order_left_behind_is_given_back() {
    let (orders, sku) = shop("REJECTED", 5).await;
    let order_id = order_id();
    orders.hold(order_id, &sku, 2).await;
    let rejected = OrderRejected {
        order_id: order_id.to_string(),
        lines: vec![line(&sku, &[])],
        ..Default::default()
    };

    let buyer = super::harness().customer().await;
    let sees = async |available: i64| {
        let seen = async || (buyer.available(&sku).await.available == available).then_some(());
        testkit::eventually(LIMIT, seen).await;
    };

    // From now on it is cached for longer than the test waits.
    sees(3).await;
    publish(order_id, &rejected).await;

    sees(5).await;
    let given_back = async || (on_hand(&sku).await == 5).then_some(());
    testkit::eventually(LIMIT, given_back).await;
    assert_eq!(orders.claim(order_id, &sku).await, ClaimOutcome::Released);
    let late = orders.hold(harness::order_id(), &sku, 5).await;
    assert_eq!(late.parts, [part("east", 5)]);
}
