use chassis::{Caller, fault};
use proto::order::v1 as wire;
use tonic::Code;
use types::{ProductId, Slot};

use crate::harness::{Harness, Shopper, sell, sell_of, usd};

#[tokio::test]
async fn a_customer_sees_a_cart_at_once_though_replicas_are_late() {
    let sku = sell("CART-OWN", 10);
    let mut shopper = Shopper::customer().await;
    assert!(shopper.cart().await.items.is_empty());

    shopper.add(&sku, 1).await.unwrap();
    let added = shopper.add(&sku.to_lowercase(), 2).await.unwrap();

    let cart = shopper.cart().await;
    assert_eq!(cart, added);
    assert_eq!(cart.items.len(), 1);
    assert_eq!(cart.items[0].quantity, 3);
    assert_eq!(cart.items[0].name, "Mug");
    assert_eq!(cart.items[0].options["colour"], "red");
    assert_eq!(
        (&cart.items[0].line_total, &cart.subtotal),
        (&usd(1_500), &usd(1_500))
    );
}

#[tokio::test]
async fn quantities_and_skus_that_make_no_sense_are_refused_by_name() {
    let sku = sell("CART-BAD", 10);
    let mut shopper = Shopper::customer().await;

    for quantity in [0, -1, 1_000, 1_000_000, i64::MAX] {
        let refused = shopper.add(&sku, quantity).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(fault::fields(&refused)[0].field, "quantity");
    }
    let unknown = shopper.add("CART-NOT-SOLD", 1).await.unwrap_err();
    assert_eq!(fault::reason(&unknown).as_deref(), Some("UNKNOWN_SKU"));
    let nonsense = shopper.add("no/sku", 1).await.unwrap_err();
    assert_eq!(fault::fields(&nonsense)[0].field, "sku");
    shopper.add(&sku, 999).await.unwrap();
    let too_many = shopper.add(&sku, 1).await.unwrap_err();
    assert_eq!(fault::fields(&too_many)[0].field, "quantity");
    assert_eq!(shopper.cart().await.items[0].quantity, 999);
}

#[tokio::test]
async fn a_product_stands_for_its_only_variant_and_names_several() {
    let product_id = ProductId::new(Slot::draw()).to_string();
    sell_of(&product_id, "CART-P1", 5);
    let shopper = Shopper::customer().await;
    let request = wire::AddCartItemRequest {
        cart_token: None,
        item: Some(wire::add_cart_item_request::Item::ProductId(
            product_id.clone(),
        )),
        quantity: 1,
    };
    let again = request.clone();

    let one = shopper
        .call(async |mut it| it.add_cart_item(request).await)
        .await
        .unwrap();
    sell_of(&product_id, "CART-P2", 5);
    let several = shopper
        .call(async |mut it| it.add_cart_item(again).await)
        .await
        .unwrap_err();

    assert_eq!(one.cart.unwrap().items[0].sku, "CART-P1");
    assert_eq!(fault::reason(&several).as_deref(), Some("SKU_REQUIRED"));
    assert_eq!(fault::metadata(&several)["skus"], "CART-P1,CART-P2");
}

#[tokio::test]
async fn lines_are_changed_removed_and_cleared() {
    let (a, b) = (sell("CART-CHANGE-A", 10), sell("CART-CHANGE-B", 10));
    let mut shopper = Shopper::customer().await;
    shopper.add(&a, 1).await.unwrap();
    shopper.add(&b, 1).await.unwrap();
    let update = |sku: &str| wire::UpdateCartItemRequest {
        cart_token: None,
        sku: sku.to_owned(),
        quantity: 7,
    };

    let request = update(&a);
    let updated = shopper
        .call(async |mut it| it.update_cart_item(request).await)
        .await;
    let absent = update("CART-CHANGE-C");
    let absent = shopper
        .call(async |mut it| it.update_cart_item(absent).await)
        .await;
    let remove = wire::RemoveCartItemRequest {
        cart_token: None,
        sku: b,
    };
    shopper
        .call(async |mut it| it.remove_cart_item(remove).await)
        .await
        .unwrap();

    assert_eq!(updated.unwrap().cart.unwrap().items[0].quantity, 7);
    assert_eq!(absent.unwrap_err().code(), Code::NotFound);
    let cart = shopper.cart().await;
    assert_eq!(cart.items.len(), 1);
    let clear = wire::ClearCartRequest { cart_token: None };
    shopper
        .call(async |mut it| it.clear_cart(clear).await)
        .await
        .unwrap();
    assert!(shopper.cart().await.items.is_empty());
}

#[tokio::test]
async fn a_guests_cart_is_added_to_the_customers_once() {
    let (own, guests) = (sell("MERGE-OWN", 10), sell("MERGE-GUEST", 10));
    let mut guest = Shopper::guest().await;
    guest.add(&guests, 2).await.unwrap();
    guest.add(&own, 1).await.unwrap();
    let mut customer = Shopper::customer().await;
    customer.add(&own, 1).await.unwrap();
    let gateway = customer.as_caller(Caller::service("gateway", Some(customer.user_id)));

    for _ in 0..2 {
        let request = wire::MergeCartRequest {
            cart_token: guest.cart_token.clone().unwrap(),
            user_id: customer.user_id.to_string(),
        };
        let merged = gateway
            .call(async |mut it| it.merge_cart(request).await)
            .await;
        let cart = merged.unwrap().cart.unwrap();
        let quantities: Vec<_> = cart.items.iter().map(|item| item.quantity).collect();
        assert_eq!(quantities, [2, 2]);
    }

    let merged = Harness::get()
        .query("select state from carts where state <> 'open'")
        .await;
    assert_eq!(merged, ["merged"]);
    assert!(guest.cart().await.items.is_empty());
    let before = guest.cart_token.clone();
    guest.add(&own, 1).await.unwrap();
    assert_ne!(guest.cart_token, before, "a merged cart is not used again");
}

#[tokio::test]
async fn a_guests_cart_opens_to_its_secret_alone() {
    let sku = sell("GUEST-SECRET", 10);
    let mut guest = Shopper::guest().await;
    guest.add(&sku, 1).await.unwrap();
    let token = guest.cart_token.clone().unwrap();

    let mut thief = guest.clone();
    thief.cart_token = Some(format!("{}.guessed", token.split_once('.').unwrap().0));

    assert!(thief.cart().await.items.is_empty());
    assert_eq!(guest.cart().await.items.len(), 1);
}
