//! Customers who are about to buy.

use futures::stream::{self, StreamExt as _};
use testkit::eventually;
use tests::stall::{Buyer, SETTLE_LIMIT, Stall};

const CONCURRENCY: usize = 8;

pub struct Shopper {
    pub buyer: Buyer,
    quantity: i64,
}

/// A confirmed order.
pub struct Sale {
    pub order_id: String,
    pub quantity: i64,
}

impl Shopper {
    pub async fn buy(self) -> Sale {
        let order = self.buyer.place_until_decided("key", "tok_ok").await;
        let order_id = order.unwrap()["id"].as_str().unwrap().to_owned();
        self.buyer.expect_status(&order_id, &["confirmed"]).await;
        Sale {
            order_id,
            quantity: self.quantity,
        }
    }
}

/// Customers with one, two or three units in their carts; a service that is just being started
/// again makes them try again.
pub async fn shoppers(stall: &Stall, count: usize) -> Vec<Shopper> {
    stream::iter((1..=3).cycle().take(count))
        .map(async |quantity| Shopper {
            buyer: eventually(SETTLE_LIMIT, async || stall.buyer(quantity).await.ok()).await,
            quantity,
        })
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await
}
