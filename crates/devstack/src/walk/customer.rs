use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use types::OrderId;

use crate::platform::Platform;
use crate::shop::{Shop, list, text};
use crate::wait;
use crate::walk::Timings;

const CONFIRM_LIMIT: Duration = Duration::from_secs(60);
/// What customers look for: every one is found in the demo catalogue.
const SEARCHES: [&str; 8] = [
    "mug", "planter", "lantern", "notebook", "flask", "blanket", "puzzle", "radio",
];
const LINES: usize = 2;

/// Somebody who shops.
pub(crate) struct Customer {
    shop: Shop,
    email: String,
}

/// A confirmed order.
#[derive(Clone, Debug)]
pub struct Placed {
    pub order_id: OrderId,
    pub number: String,
    pub payment_id: String,
    pub trace_id: String,
    /// Minor units and currency.
    pub total: String,
    /// SKU and quantity.
    pub lines: Vec<(String, i64)>,
    pub email: String,
}

impl Customer {
    pub(crate) async fn register(platform: &Platform) -> anyhow::Result<Self> {
        let mut shop = Shop::new(platform.gateway_url())?;
        let email = format!("customer-{}@example.com", random_text());
        let password = random_text();
        let body = json!({"email": email, "password": password, "name": "A Customer"});
        shop.post("/api/users", &body).await?;
        shop.login(&email, &password).await?;
        Ok(Self { shop, email })
    }

    /// Searches, fills a cart, places the order and waits until it is confirmed.
    pub(crate) async fn buy(
        &mut self,
        token: &str,
        number: usize,
        timings: &mut Timings,
    ) -> anyhow::Result<Placed> {
        let skus = timings.measure("search", self.search(number)).await?;
        let lines: Vec<(String, i64)> = skus.into_iter().zip(1..).collect();
        timings
            .measure("fill the cart", self.fill_cart(&lines))
            .await?;
        let order = timings
            .measure("place the order", self.place(token))
            .await?;
        let order_id: OrderId = text(&order, "id")?.parse()?;
        let order = timings
            .measure("confirmed", self.confirmed(order_id))
            .await?;
        let total = &order["total"];
        let minor_units = total["minorUnits"].as_i64().context("the total")?;
        Ok(Placed {
            order_id,
            number: text(&order, "number")?,
            payment_id: text(&order, "paymentId")?,
            trace_id: text(&order, "traceId")?,
            total: format!(
                "{}.{:02} {}",
                minor_units / 100,
                minor_units % 100,
                text(total, "currency")?
            ),
            lines,
            email: self.email.clone(),
        })
    }

    /// SKUs that can be had now, of different products.
    async fn search(&self, number: usize) -> anyhow::Result<Vec<String>> {
        let query = SEARCHES[number % SEARCHES.len()];
        let found = self
            .shop
            .get(&format!("/api/products/search?q={query}&limit=20"))
            .await?;
        let products = list(&found, "items")?;
        let mut skus = Vec::new();
        // Customers who look for the same thing start at different results.
        for product in products.iter().cycle().skip(number).take(products.len()) {
            if skus.len() < LINES
                && let Some(sku) = self.available(product).await?
            {
                skus.push(sku);
            }
        }
        if skus.is_empty() {
            bail!(
                "nothing to buy among {} results for {query:?}",
                products.len()
            );
        }
        Ok(skus)
    }

    async fn available(&self, product: &Value) -> anyhow::Result<Option<String>> {
        for variant in list(product, "variants")? {
            let sku = text(variant, "sku")?;
            let level = self.shop.get(&format!("/api/inventory/{sku}")).await?;
            if level["available"]
                .as_i64()
                .is_some_and(|available| available >= 10)
            {
                return Ok(Some(sku));
            }
        }
        Ok(None)
    }

    async fn fill_cart(&self, lines: &[(String, i64)]) -> anyhow::Result<()> {
        for (sku, quantity) in lines {
            let item = json!({"sku": sku, "quantity": quantity});
            self.shop.post("/api/cart/items", &item).await?;
        }
        let cart = self.shop.get("/api/cart").await?;
        let count = list(&cart, "items")?.len();
        if count != lines.len() {
            bail!(
                "{} items were put into the cart, {count} are in it",
                lines.len()
            );
        }
        Ok(())
    }

    async fn place(&self, token: &str) -> anyhow::Result<Value> {
        let body = json!({
            "shippingAddress": {
                "name": "A Customer",
                "line1": "1 Example Street",
                "city": "Springfield",
                "postalCode": "12345",
                "country": "US",
            },
            "paymentMethod": {"token": token},
        });
        self.shop
            .post_once("/api/orders", &random_text(), &body)
            .await
    }

    async fn confirmed(&self, order_id: OrderId) -> anyhow::Result<Value> {
        let path = format!("/api/orders/{order_id}");
        wait::until(&format!("order {order_id}"), CONFIRM_LIMIT, async || {
            let order = self.shop.get(&path).await?;
            match order["status"].as_str() {
                Some("confirmed") => Ok(order),
                status => bail!("it is {}", status.unwrap_or("without a status")),
            }
        })
        .await
    }
}

fn random_text() -> String {
    format!("{:032x}", rand::random::<u128>())
}
