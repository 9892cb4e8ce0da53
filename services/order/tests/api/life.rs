use std::time::Duration;

use chassis::fault;
use proto::common::v1::PageRequest;
use proto::order::v1 as wire;
use proto::order::v1::OrderStatus as S;
use testkit::eventually;
use tonic::Code;

use crate::harness::{Harness, Shopper, disagreement, sell, settled};
use crate::peers::Paid;

#[tokio::test]
async fn a_cancelled_order_gives_stock_and_money_back() {
    let sku = sell("CANCEL", 5);
    let mut shopper = Shopper::customer().await;
    let order = shopper.order(&sku, 2).await;
    settled(&order.order_id).await;

    let cancelled = shopper.cancel(&order.order_id).await.unwrap();
    let again = shopper.cancel(&order.order_id).await.unwrap();

    assert_eq!(
        (cancelled.status(), again.status()),
        (S::Cancelled, S::Cancelled)
    );
    settled(&order.order_id).await;
    assert_eq!(disagreement(&cancelled), None);
    assert_eq!(
        Harness::get().peers.state().payments[&order.payment_id],
        Paid::Refunded
    );
    assert_eq!(Harness::get().peers.state().stock["CANCEL"], 5);
    let timeline = shopper.timeline(&order.order_id).await;
    let last = &timeline[timeline.len() - 2];
    assert_eq!((last.to(), &*last.by), (S::Cancelling, "customer"));
    assert_eq!(last.reason.as_deref(), Some("changed my mind"));
}

#[tokio::test]
async fn an_order_cancelled_at_any_moment_of_its_checkout_leaves_nothing_behind() {
    let sku = sell("CANCEL-EARLY", 100);
    for wait_ms in [0, 5, 10, 20, 40] {
        let mut shopper = Shopper::customer().await;
        shopper.add(&sku, 1).await.unwrap();
        let placing = shopper.clone();
        let cancelling = async {
            let order = eventually(Duration::from_secs(10), async || {
                let listed = shopper
                    .list(wire::ListOrdersRequest::default())
                    .await
                    .unwrap();
                listed.orders.into_iter().next()
            })
            .await;
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            shopper.cancel(&order.order_id).await.unwrap()
        };

        let (_, order) = tokio::join!(placing.place("key", "tok_ok"), cancelling);

        settled(&order.order_id).await;
        let order = shopper.get(&order.order_id).await.unwrap();
        assert_eq!((order.status(), disagreement(&order)), (S::Cancelled, None));
    }
}

#[tokio::test]
async fn staff_ship_an_order_in_parts_and_then_it_is_too_late_to_cancel() {
    let (a, b) = (sell("SHIP-A", 5), sell("SHIP-B", 5));
    let mut shopper = Shopper::customer().await;
    shopper.add(&a, 2).await.unwrap();
    let order = shopper.order(&b, 1).await;
    let staff = shopper.as_staff();
    let ship = |items: Vec<(&str, i64)>| wire::CreateFulfillmentRequest {
        order_id: order.order_id.clone(),
        items: items
            .into_iter()
            .map(|(sku, quantity)| wire::FulfillmentItem {
                sku: sku.to_owned(),
                quantity,
            })
            .collect(),
        tracking_number: Some("TRACK-1".to_owned()),
    };
    let (some, too_many, rest) = (ship(vec![(&a, 1)]), ship(vec![(&a, 2)]), ship(Vec::new()));
    let (by_customer, late) = (rest.clone(), rest.clone());

    let some = staff
        .call(async |mut it| it.create_fulfillment(some).await)
        .await
        .unwrap();
    let refused = shopper
        .call(async |mut it| it.create_fulfillment(by_customer).await)
        .await;
    let too_many = staff
        .call(async |mut it| it.create_fulfillment(too_many).await)
        .await;
    let too_late = shopper.cancel(&order.order_id).await.unwrap_err();
    let rest = staff
        .call(async |mut it| it.create_fulfillment(rest).await)
        .await
        .unwrap();
    let late = staff
        .call(async |mut it| it.create_fulfillment(late).await)
        .await;

    assert_eq!(some.order.unwrap().status(), S::Confirmed);
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(
        fault::fields(&too_many.unwrap_err())[0].field,
        "items[0].quantity"
    );
    assert_eq!(fault::reason(&too_late).as_deref(), Some("TOO_LATE"));
    let done = rest.order.unwrap();
    assert_eq!(done.status(), S::Fulfilled);
    assert!(
        done.lines
            .iter()
            .all(|line| line.fulfilled == line.quantity)
    );
    assert_eq!(rest.fulfillment.unwrap().items.len(), 2);
    assert_eq!(
        fault::reason(&late.unwrap_err()).as_deref(),
        Some("TOO_LATE")
    );
    assert_eq!(disagreement(&done), None);
}

#[tokio::test]
async fn anothers_order_is_as_if_it_were_not_there() {
    let sku = sell("FOREIGN", 5);
    let mut shopper = Shopper::customer().await;
    let order = shopper.order(&sku, 1).await;
    let stranger = Shopper::customer().await;

    assert_eq!(
        stranger.get(&order.order_id).await.unwrap_err().code(),
        Code::NotFound
    );
    assert_eq!(
        stranger.cancel(&order.order_id).await.unwrap_err().code(),
        Code::NotFound
    );
    let seen = shopper.as_staff().get(&order.order_id).await.unwrap();
    assert_eq!(seen.order_id, order.order_id);
    let nonsense = shopper.get("7").await.unwrap_err();
    assert_eq!(fault::reason(&nonsense).as_deref(), Some("INVALID_ID"));
}

#[tokio::test]
async fn orders_are_listed_page_by_page_newest_first() {
    let sku = sell("LIST", 50);
    let mut shopper = Shopper::customer().await;
    let mut placed = Vec::new();
    for number in 0..5 {
        shopper.add(&sku, 1).await.unwrap();
        let answer = shopper
            .place(&format!("key {number}"), "tok_ok")
            .await
            .unwrap();
        placed.push(answer.order.unwrap().order_id);
    }
    placed.reverse();
    let page = |cursor: String| wire::ListOrdersRequest {
        status: S::Confirmed.into(),
        page: Some(PageRequest { limit: 2, cursor }),
    };

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = shopper.list(page(cursor)).await.unwrap();
        seen.extend(answer.orders.into_iter().map(|order| order.order_id));
        cursor = answer.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }

    assert_eq!(seen, placed);
    let forged = shopper.list(page("Zm9yZ2Vk".to_owned())).await.unwrap_err();
    assert_eq!(fault::reason(&forged).as_deref(), Some("INVALID_CURSOR"));
    let rejected = wire::ListOrdersRequest {
        status: S::Rejected.into(),
        page: None,
    };
    assert!(shopper.list(rejected).await.unwrap().orders.is_empty());
}

#[tokio::test]
async fn a_hold_that_is_over_before_its_claim_is_held_again() {
    let sku = sell("EXPIRING", 5);
    Harness::get().peers.state().expiring.insert(sku.clone());
    let mut shopper = Shopper::customer().await;

    let order = shopper.order(&sku, 2).await;

    settled(&order.order_id).await;
    assert_eq!(disagreement(&order), None);
    assert_eq!(Harness::get().peers.state().stock["EXPIRING"], 3);
}

#[tokio::test]
async fn an_order_that_is_stuck_asks_for_an_operator_and_goes_on_when_it_can() {
    let sku = sell("STUCK", 5);
    let mut shopper = Shopper::customer().await;
    shopper.add(&sku, 1).await.unwrap();
    let placed = shopper.place("key", "tok_stuck").await.unwrap();
    let order = placed.order.unwrap();
    let staff = shopper.as_staff();
    let asking = async |wanted: bool| {
        let order = staff.get(&order.order_id).await.unwrap();
        (order.needs_operator == wanted).then_some(order)
    };

    let stuck = eventually(Duration::from_secs(10), async || asking(true).await).await;
    // They are counted every ten seconds.
    eventually(Duration::from_secs(20), async || {
        let admin = Harness::get().admin;
        let asking = testkit::metric(admin, "orders_need_operator", &[]).await;
        (asking == 1.0).then_some(())
    })
    .await;
    Harness::get().peers.state().stuck.remove(&order.payment_id);
    settled(&order.order_id).await;
    let done = eventually(Duration::from_secs(10), async || asking(false).await).await;

    assert_eq!(
        (stuck.status(), done.status()),
        (S::Confirmed, S::Confirmed)
    );
    assert_eq!(disagreement(&done), None);
    let again = shopper.place("key", "tok_stuck").await.unwrap();
    assert_eq!(again.order.unwrap(), order);
}

/// Puts another service's event into the order service's own outbox, whose relay publishes it.
async fn publish(slot: u16, topic: &str, kind: &str, key: &str, message: &impl prost::Message) {
    let payload = message.encode_to_vec();
    let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
    let event_id = types::EventId::new(types::Slot::new(slot).unwrap());
    let insert = format!(
        "insert into outbox (slot, event_id, topic, key, type, version, payload)
         select {slot}, '{event_id}', '{topic}', '{key}', '{kind}', 1, '\\x{hex}'
         from slot_owner where slot = {slot} and state = 'active'
         returning topic"
    );
    assert_eq!(Harness::get().query(&insert).await.len(), 1);
}

#[tokio::test]
async fn an_erased_customers_orders_forget_where_they_went() {
    let sku = sell("ERASED", 5);
    let mut shopper = Shopper::customer().await;
    let order = shopper.order(&sku, 1).await;
    settled(&order.order_id).await;
    let user_id = shopper.user_id.to_string();
    let erased = proto::user::v1::UserErased {
        user_id: user_id.clone(),
        version: 2,
    };

    let slot = shopper.user_id.slot().get();
    publish(slot, "user.events", "user.v1.UserErased", &user_id, &erased).await;

    let sql = format!(
        "select order_id::text from orders
         where order_id = '{}' and shipping_address is null",
        order.order_id
    );
    let erased = async || Harness::get().query(&sql).await.pop();
    eventually(Duration::from_secs(30), erased).await;
    let carts = format!("select cart_id::text from carts where user_id = '{user_id}'");
    assert!(Harness::get().query(&carts).await.is_empty());
}

#[tokio::test]
async fn money_authorized_after_an_order_was_cancelled_is_given_back() {
    let sku = sell("LATE", 5);
    let mut shopper = Shopper::customer().await;
    let order = shopper.order(&sku, 1).await;
    settled(&order.order_id).await;
    shopper.cancel(&order.order_id).await.unwrap();
    settled(&order.order_id).await;
    Harness::get()
        .peers
        .state()
        .payments
        .insert(order.payment_id.clone(), Paid::Authorized);
    let authorized = proto::payment::v1::PaymentAuthorized {
        payment_id: order.payment_id.clone(),
        order_id: order.order_id.clone(),
        user_id: order.user_id.clone(),
        ..Default::default()
    };

    let slot = shopper.user_id.slot().get();
    let kind = "payment.v1.PaymentAuthorized";
    publish(slot, "payment.events", kind, &order.payment_id, &authorized).await;

    eventually(Duration::from_secs(30), async || {
        let state = Harness::get().peers.state();
        (state.payments[&order.payment_id] == Paid::Voided).then_some(())
    })
    .await;
    settled(&order.order_id).await;
    assert_eq!(
        shopper.get(&order.order_id).await.unwrap().status(),
        S::Cancelled
    );
}
