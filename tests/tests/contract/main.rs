//! What the API promises, tried over REST as its users would, and how it answers what they get
//! wrong.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod checkout;
mod requests;
mod sessions;
mod walk;

use serde_json::{Value, json};
use tests::shared;
use tests::stall::{Stall, order_body};
use tests::visitor::{Answer, Visitor};

/// A stall, and the staff who run it.
struct Shop {
    stall: Stall,
    staff: Visitor,
}

impl Shop {
    async fn open(on_hand: i64) -> Self {
        let platform = shared::platform().await;
        Self {
            stall: Stall::open(platform, on_hand).await.unwrap(),
            staff: Visitor::staff(platform).await.unwrap(),
        }
    }

    fn guest(&self) -> Visitor {
        Visitor::guest(&self.stall.platform).unwrap()
    }

    async fn customer(&self) -> Visitor {
        Visitor::customer(&self.stall.platform).await.unwrap()
    }

    /// A customer with this much in the cart.
    async fn buyer(&self, quantity: i64) -> Visitor {
        let buyer = self.customer().await;
        self.fill(&buyer, quantity).await.expect(200);
        buyer
    }

    async fn fill(&self, visitor: &Visitor, quantity: i64) -> Answer {
        let item = json!({"sku": self.stall.sku, "quantity": quantity});
        visitor.post("/api/cart/items", &item).await.unwrap()
    }

    /// A confirmed order of a new customer.
    async fn sell(&self, quantity: i64) -> (Visitor, Value) {
        let buyer = self.buyer(quantity).await;
        let order = place(&buyer, "key", "tok_ok").await.expect(201);
        (buyer, order)
    }
}

async fn place(buyer: &Visitor, key: &str, token: &str) -> Answer {
    buyer
        .post_once("/api/orders", key, &order_body(token))
        .await
        .unwrap()
}

async fn get(visitor: &Visitor, path: &str) -> Answer {
    visitor.get(path).await.unwrap()
}

async fn post(visitor: &Visitor, path: &str, body: &Value) -> Answer {
    visitor.post(path, body).await.unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
