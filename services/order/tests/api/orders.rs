use std::time::Duration;

use chassis::fault;
use prost::Message as _;
use proto::order::v1 as wire;
use proto::order::v1::OrderStatus as S;
use testkit::eventually;
use tonic::Code;

use crate::harness::{Harness, Shopper, disagreement, placement, sell, settled, usd};

#[tokio::test]
async fn an_order_is_confirmed_and_settled_and_its_customer_sees_it_at_once() {
    let sku = sell("ORDER-GOOD", 10);
    let mut shopper = Shopper::customer().await;

    let order = shopper.order(&sku, 2).await;

    assert_eq!(
        shopper.get(&order.order_id).await.unwrap().status(),
        S::Confirmed
    );
    assert!(shopper.cart().await.items.is_empty());
    assert_eq!((order.number.len(), &order.total), (8, &usd(1_000)));
    settled(&order.order_id).await;
    assert_eq!(disagreement(&order), None);
    let statuses: Vec<_> = shopper
        .timeline(&order.order_id)
        .await
        .iter()
        .map(|it| it.to())
        .collect();
    assert_eq!(
        statuses,
        [S::Pending, S::Reserved, S::Authorized, S::Confirmed]
    );
    let listed = shopper
        .list(wire::ListOrdersRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.orders.len(), 1);
}

#[tokio::test]
async fn placing_twice_with_one_key_makes_one_order_and_answers_the_same_bytes() {
    let sku = sell("ORDER-TWICE", 10);
    let mut shopper = Shopper::customer().await;
    shopper.add(&sku, 1).await.unwrap();

    let first = shopper.place("key", "tok_ok").await.unwrap();
    settled(&first.order.as_ref().unwrap().order_id).await;
    let again = shopper.place("key", "tok_ok").await.unwrap();
    let other = shopper.place("key", "tok_declined").await.unwrap_err();

    let (first_order, again_order) = (first.order.unwrap(), again.order.unwrap());
    assert_eq!(first_order, again_order);
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!(fault::reason(&other).as_deref(), Some("KEY_REUSED"));
    let listed = shopper
        .list(wire::ListOrdersRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.orders.len(), 1);
}

#[tokio::test]
async fn too_little_stock_rejects_the_order_and_gives_the_cart_back() {
    let (enough, short) = (sell("STOCK-A", 10), sell("STOCK-B", 3));
    let mut shopper = Shopper::customer().await;
    shopper.add(&enough, 1).await.unwrap();
    shopper.add(&short, 4).await.unwrap();

    let refused = shopper.place("key", "tok_ok").await.unwrap_err();

    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(fault::reason(&refused).as_deref(), Some("OUT_OF_STOCK"));
    let metadata = fault::metadata(&refused);
    assert_eq!(
        (&*metadata["sku"], &*metadata["available"]),
        ("STOCK-B", "3")
    );
    let order = shopper.get(&metadata["order_id"]).await.unwrap();
    assert_eq!(order.status(), S::Rejected);
    settled(&order.order_id).await;
    assert_eq!(disagreement(&order), None);
    assert_eq!(Harness::get().peers.state().stock["STOCK-A"], 10);
    assert_eq!(shopper.cart().await.items.len(), 2);
    let again = shopper.place("key", "tok_ok").await.unwrap_err();
    assert_eq!(fault::metadata(&again), metadata);
}

#[tokio::test]
async fn a_declined_card_rejects_the_order_and_gives_the_stock_back() {
    let sku = sell("CARD", 5);
    let mut shopper = Shopper::customer().await;
    shopper.add(&sku, 2).await.unwrap();

    let refused = shopper.place("key", "tok_declined").await.unwrap_err();

    assert_eq!(fault::reason(&refused).as_deref(), Some("PAYMENT_DECLINED"));
    let metadata = fault::metadata(&refused);
    assert_eq!(metadata["reason"], "card-declined");
    let order = shopper.get(&metadata["order_id"]).await.unwrap();
    settled(&order.order_id).await;
    assert_eq!((order.status(), disagreement(&order)), (S::Rejected, None));
    assert_eq!(Harness::get().peers.state().stock["CARD"], 5);
    let second = shopper.place("another key", "tok_ok").await.unwrap();
    assert_eq!(second.order.unwrap().status(), S::Confirmed);
}

#[tokio::test]
async fn a_changed_price_is_told_once_and_then_agreed_to() {
    let sku = sell("PRICE", 5);
    let mut shopper = Shopper::customer().await;
    shopper.add(&sku, 2).await.unwrap();
    {
        let mut state = Harness::get().peers.state();
        let variant = state.variants.get_mut(&sku).unwrap();
        (variant.price, variant.version) = (usd(600), 2);
    }
    let key = std::sync::atomic::AtomicU32::new(0);

    let refused = eventually(Duration::from_secs(10), async || {
        // The price that is cached is good for a few seconds: until then the old one is asked for.
        let mut request = placement(
            &format!(
                "key {}",
                key.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
            ),
            "tok_ok",
        );
        request.expected_total = usd(1_001);
        let refused = shopper
            .call(async |mut it| it.place_order(request).await)
            .await
            .unwrap_err();
        (fault::metadata(&refused)["total_minor_units"] == "1200").then_some(refused)
    })
    .await;
    let agreed = shopper.place("agreed", "tok_ok").await.unwrap();

    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(fault::reason(&refused).as_deref(), Some("PRICE_CHANGED"));
    assert_eq!(fault::metadata(&refused)["currency"], "USD");
    assert_eq!(agreed.order.unwrap().total, usd(1_200));
}

#[tokio::test]
async fn a_price_refusal_is_the_same_when_repeated() {
    let sku = sell("PRICE-AGAIN", 5);
    let mut shopper = Shopper::customer().await;
    shopper.add(&sku, 2).await.unwrap();
    let mut request = placement("key", "tok_ok");
    request.expected_total = usd(999);

    for _ in 0..2 {
        let request = request.clone();
        let refused = shopper
            .call(async |mut it| it.place_order(request).await)
            .await
            .unwrap_err();
        assert_eq!(fault::reason(&refused).as_deref(), Some("PRICE_CHANGED"));
        assert_eq!(fault::metadata(&refused)["total_minor_units"], "1000");
    }
}

#[tokio::test]
async fn an_empty_cart_and_a_bad_address_are_refused_and_not_kept() {
    let sku = sell("ORDER-EMPTY", 5);
    let mut shopper = Shopper::customer().await;

    let empty = shopper.place("key", "tok_ok").await.unwrap_err();
    shopper.add(&sku, 1).await.unwrap();
    let mut bad = placement("key", "tok_ok");
    if let Some(wire::place_order_request::Address::ShippingAddress(address)) = &mut bad.address {
        address.country = "USA".to_owned();
    }
    let bad = shopper
        .call(async |mut it| it.place_order(bad).await)
        .await
        .unwrap_err();
    let good = shopper.place("key", "tok_ok").await.unwrap();

    assert_eq!(fault::reason(&empty).as_deref(), Some("CART_EMPTY"));
    assert_eq!(fault::fields(&bad)[0].field, "shippingAddress.country");
    assert_eq!(good.order.unwrap().status(), S::Confirmed);
}

#[tokio::test]
async fn an_order_that_takes_long_is_answered_pending_and_stays_so_for_its_key() {
    let sku = sell("SLOW", 5);
    let mut shopper = Shopper::customer().await;
    shopper.add(&sku, 1).await.unwrap();

    let first = shopper
        .place("key", "tok_slow_3s")
        .await
        .unwrap()
        .order
        .unwrap();
    let confirmed = eventually(Duration::from_secs(20), async || {
        let order = shopper.get(&first.order_id).await.unwrap();
        (order.status() == S::Confirmed).then_some(order)
    })
    .await;
    let again = shopper.place("key", "tok_slow_3s").await.unwrap();

    assert_eq!(first.status(), S::Reserved);
    assert_eq!(
        again.order.unwrap().encode_to_vec().len(),
        first.encode_to_vec().len()
    );
    settled(&first.order_id).await;
    assert_eq!(disagreement(&confirmed), None);
}

#[tokio::test]
async fn an_unknown_payment_and_a_failing_stock_are_asked_again_until_they_are_known() {
    let sku = sell("FLAKY", 5);
    Harness::get().peers.state().failures.insert(sku.clone(), 2);
    let mut shopper = Shopper::customer().await;
    shopper.add(&sku, 1).await.unwrap();

    let first = shopper
        .place("key", "tok_unknown_twice")
        .await
        .unwrap()
        .order
        .unwrap();
    settled(&first.order_id).await;

    let order = shopper.get(&first.order_id).await.unwrap();
    assert_eq!((order.status(), disagreement(&order)), (S::Confirmed, None));
    let timeline = shopper.timeline(&first.order_id).await;
    assert!(
        timeline.iter().any(|entry| entry.attempt > 1),
        "{timeline:?}"
    );
}

#[tokio::test]
async fn an_order_goes_on_when_its_client_is_gone() {
    let sku = sell("GONE", 50);
    for patience_ms in [1, 5, 10, 20, 40, 80] {
        let mut shopper = Shopper::customer().await;
        shopper.add(&sku, 1).await.unwrap();

        let patience = Duration::from_millis(patience_ms);
        let _ = tokio::time::timeout(patience, shopper.place("key", "tok_ok")).await;

        let order = eventually(Duration::from_secs(20), async || {
            let answer = shopper.place("key", "tok_ok").await;
            answer.ok().map(|answer| answer.order.unwrap())
        })
        .await;
        settled(&order.order_id).await;
        let order = shopper.get(&order.order_id).await.unwrap();
        assert_eq!((order.status(), disagreement(&order)), (S::Confirmed, None));
        let listed = shopper
            .list(wire::ListOrdersRequest::default())
            .await
            .unwrap();
        assert_eq!(listed.orders.len(), 1);
    }
}

#[tokio::test]
async fn an_address_of_the_customer_is_taken_by_its_id() {
    let sku = sell("ADDRESS", 5);
    let mut shopper = Shopper::customer().await;
    shopper.add(&sku, 1).await.unwrap();
    let address_id = types::AddressId::new(shopper.user_id.slot()).to_string();
    let known = crate::harness::address();
    Harness::get()
        .peers
        .state()
        .addresses
        .insert(address_id.clone(), known.clone());
    let by_id = |address_id: &str| wire::PlaceOrderRequest {
        address: Some(wire::place_order_request::Address::AddressId(
            address_id.to_owned(),
        )),
        ..placement("key", "tok_ok")
    };
    let unknown = by_id(&types::AddressId::new(shopper.user_id.slot()).to_string());

    let absent = shopper
        .call(async |mut it| it.place_order(unknown).await)
        .await
        .unwrap_err();
    let request = by_id(&address_id);
    let placed = shopper
        .call(async |mut it| it.place_order(request).await)
        .await
        .unwrap();

    assert_eq!(absent.code(), Code::NotFound);
    assert_eq!(placed.order.unwrap().shipping_address, Some(known));
}
