//! A shop that sells one thing, and the people who buy it, over public REST.

use std::time::Duration;

use anyhow::{Context as _, bail};
use devstack::platform::Platform;
use devstack::service::{Service, Shard};
use devstack::shop::{Refusal, Shop};
use devstack::{postgres, staff, verify, wait};
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::eventually;

/// How long an order may take to settle after the last fault.
pub const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// Replicas are half a second late; on a busy disk they replay many times as long.
const REPLICA_LIMIT: Duration = Duration::from_secs(60);

/// One product of one variant, in one warehouse.
pub struct Stall {
    pub platform: Platform,
    pub staff: Shop,
    pub sku: String,
    pub product_id: String,
}

impl Stall {
    /// Puts `on_hand` units of a new product on sale at 10.00 USD each.
    pub async fn open(platform: &Platform, on_hand: i64) -> anyhow::Result<Self> {
        let staff = login_staff(platform).await?;
        let name = format!("thing-{:016x}", random());
        let category = json!({"slug": format!("kind-{name}"), "name": "Things"});
        staff.post("/api/categories", &category).await?;
        let sku = name.to_uppercase();
        let product = json!({
            "slug": name,
            "name": "A thing",
            "description": "It is bought by tests.",
            "category": category["slug"],
            "attributes": {},
            "variants": [{"sku": sku, "options": {}, "price": {"minorUnits": 1000, "currency": "USD"}}],
        });
        let product = staff.post("/api/products", &product).await?;
        let stall = Self {
            platform: platform.clone(),
            staff,
            sku,
            product_id: product["id"].as_str().context("a product's id")?.to_owned(),
        };
        stall.stock(on_hand).await?;
        stall.wait_for_replicas().await?;
        Ok(stall)
    }

    /// Until then customers may be told that no such thing is sold: they have not seen it yet.
    async fn wait_for_replicas(&self) -> anyhow::Result<()> {
        let sold = [
            (Service::Product, "variants"),
            (Service::Inventory, "stock"),
        ];
        let known = async |service: Service, table: &str| {
            let database = self.platform.database(service);
            let select = format!("select sku from {table} where sku = '{}'", self.sku);
            let script = format!("\\connect {database}\n{select}");
            for shard in Shard::ALL {
                let port = self.platform.ports.replica(shard);
                if !postgres::psql(port, &[], &script).await?.is_empty() {
                    return Ok(());
                }
            }
            bail!("no replica has {} in {table}", self.sku)
        };
        for (service, table) in sold {
            let replicated = async || known(service, table).await;
            wait::until("replication", REPLICA_LIMIT, replicated).await?;
        }
        Ok(())
    }

    pub async fn stock(&self, on_hand: i64) -> anyhow::Result<()> {
        let path = format!("/api/inventory/{}/warehouses/main", self.sku);
        let stock =
            json!({"onHand": on_hand, "lowStockThreshold": 0, "policy": "reserve-on-order"});
        self.staff.put(&path, &stock).await?;
        Ok(())
    }

    /// What can still be bought, as soon as caches agree with `expected`.
    pub async fn expect_available(&self, expected: i64) {
        let path = format!("/api/inventory/{}", self.sku);
        eventually(SETTLE_LIMIT, async || {
            let level = self.staff.get(&path).await.ok()?;
            (level["available"].as_i64() == Some(expected)).then_some(())
        })
        .await;
    }

    /// A new customer with `quantity` units in the cart.
    pub async fn buyer(&self, quantity: i64) -> anyhow::Result<Buyer> {
        let buyer = Buyer::register(&self.platform).await?;
        buyer.fill(&self.sku, quantity).await?;
        Ok(buyer)
    }

    /// Waits until every order of the platform is settled and every part agrees on them.
    pub async fn expect_agreement(&self) {
        let mut findings = Vec::new();
        let give_up_at = tokio::time::Instant::now() + SETTLE_LIMIT;
        while tokio::time::Instant::now() < give_up_at {
            match verify::check(&self.platform, 0).await {
                Ok(found) if found.is_empty() => return,
                Ok(found) => findings = found.iter().map(ToString::to_string).collect(),
                Err(error) => findings = vec![format!("{error:#}")],
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("no agreement: {findings:#?}");
    }
}

/// The platform's staff account, made when it is asked for first.
pub async fn login_staff(platform: &Platform) -> anyhow::Result<Shop> {
    staff::create(platform).await?;
    let account: Value = serde_json::from_slice(&std::fs::read(platform.home.staff())?)?;
    let text = |field: &str| account[field].as_str().unwrap_or_default().to_owned();
    let mut staff = Shop::new(platform.gateway_url())?;
    staff.login(&text("email"), &text("password")).await?;
    Ok(staff)
}

/// A customer.
#[derive(Clone)]
pub struct Buyer {
    pub shop: Shop,
    pub email: String,
    pub password: String,
}

impl Buyer {
    pub async fn register(platform: &Platform) -> anyhow::Result<Self> {
        let mut shop = Shop::new(platform.gateway_url())?;
        let email = format!("customer-{:016x}@example.com", random());
        let password = format!("{:032x}", random());
        let body = json!({"email": email, "password": password, "name": "A Customer"});
        shop.post("/api/users", &body).await?;
        shop.login(&email, &password).await?;
        Ok(Self {
            shop,
            email,
            password,
        })
    }

    pub async fn fill(&self, sku: &str, quantity: i64) -> anyhow::Result<Value> {
        let item = json!({"sku": sku, "quantity": quantity});
        self.shop.post("/api/cart/items", &item).await
    }

    pub async fn place(&self, key: &str, token: &str) -> anyhow::Result<Value> {
        self.shop
            .post_once("/api/orders", key, &order_body(token))
            .await
    }

    /// Repeats the order under one key until it is answered for good: what a patient client does.
    pub async fn place_until_decided(&self, key: &str, token: &str) -> Result<Value, Refusal> {
        eventually(SETTLE_LIMIT, async || match self.place(key, token).await {
            Ok(order) => Some(Ok(order)),
            Err(error) => {
                let refusal = error.downcast::<Refusal>().ok()?;
                let decided = refusal.status == StatusCode::PAYMENT_REQUIRED
                    || refusal.problem["code"] == "out-of-stock";
                decided.then_some(Err(refusal))
            }
        })
        .await
    }

    /// The order once it has one of these statuses.
    pub async fn expect_status(&self, order_id: &str, statuses: &[&str]) -> Value {
        let path = format!("/api/orders/{order_id}");
        eventually(SETTLE_LIMIT, async || {
            let order = self.shop.get(&path).await.ok()?;
            let status = order["status"].as_str().unwrap_or_default().to_owned();
            statuses.contains(&status.as_str()).then_some(order)
        })
        .await
    }
}

pub fn order_body(token: &str) -> Value {
    json!({
        "shippingAddress": {
            "name": "A Customer",
            "line1": "1 Example Street",
            "city": "Springfield",
            "postalCode": "12345",
            "country": "US",
        },
        "paymentMethod": {"token": token},
    })
}

/// A number that no other test draws.
pub fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::time::Instant::now())
}

/// Runs a script on both shards of a service, as a superuser.
pub async fn run_sql(
    platform: &Platform,
    service: Service,
    script: &str,
) -> anyhow::Result<Vec<String>> {
    let mut answers = Vec::new();
    for shard in Shard::ALL {
        let port = platform.ports.primary(shard);
        let script = format!("\\connect {}\n{script}", platform.database(service));
        answers.push(postgres::psql(port, &[], &script).await?);
    }
    Ok(answers)
}
