//! The order service on its real databases, with its peers in memory; one for the test binary.

use std::net::SocketAddr;
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use chassis::client::{Channel, Endpoints, Retry};
use chassis::{Caller, Chassis, Consistency, Context, Listeners, caller};
use clap::Parser as _;
use events::operator::Operation;
use order::Config;
use proto::order::v1 as wire;
use proto::order::v1::order_service_client::OrderServiceClient;
use sqlx::{Connection as _, PgConnection};
use testkit::{Databases, Service};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};
use types::{Money, ProductId, Slot, UserId};

use crate::peers::{Hold, Paid, Peers};

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

pub fn config(flags: impl IntoIterator<Item = String>) -> Config {
    let own = ["order".to_owned(), caller_secret()];
    Cli::try_parse_from(own.into_iter().chain(flags))
        .unwrap_or_else(|error| panic!("{error}"))
        .config
}

pub fn caller_secret() -> String {
    format!("--caller-secret={}", "s".repeat(32))
}

async fn migrate(databases: Databases) -> anyhow::Result<()> {
    let flags = [
        format!("--shards={}", databases.shards),
        format!("--direct={}", databases.direct),
    ];
    order::operate(&config(flags), &Operation::Migrate).await
}

/// What runs behind the tests.
pub struct Harness {
    pub peers: Peers,
    pub databases: Databases,
    pub endpoint: String,
    pub admin: SocketAddr,
}

impl Harness {
    /// Started by the first test, on threads that outlive each test.
    pub fn get() -> &'static Self {
        static HARNESS: OnceLock<Harness> = OnceLock::new();
        HARNESS.get_or_init(|| {
            let (started, harness) = mpsc::channel();
            thread::spawn(move || {
                Runtime::new().unwrap().block_on(async {
                    let (harness, serving) = start().await;
                    started.send(harness).unwrap();
                    serving.await.unwrap();
                });
            });
            harness.recv().unwrap()
        })
    }

    /// Runs SQL on every shard; answers with the rows' first column of all of them.
    pub async fn query(&self, sql: &str) -> Vec<String> {
        let mut rows = Vec::new();
        for shard in self.databases.direct.split(',') {
            let (_, dsn) = shard.split_once('=').unwrap();
            let mut connection = PgConnection::connect(dsn).await.unwrap();
            let found: Vec<(String,)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
                .fetch_all(&mut connection)
                .await
                .unwrap();
            rows.extend(found.into_iter().map(|row| row.0));
        }
        rows
    }
}

async fn start() -> (Harness, impl Future<Output = anyhow::Result<()>>) {
    let fixture = testkit::fixture(Service::Order, migrate).await;
    let peers_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peers_at = peers_listener.local_addr().unwrap();
    let peers = Peers::default();
    let mut flags = fixture.flags();
    flags.extend(
        ["user", "product", "inventory", "payment"]
            .map(|peer| format!("--{peer}-endpoints={peers_at}")),
    );
    let own = [
        "--pool-wait-ms=5000",
        "--step-timeout-ms=4000",
        "--poll-ms=100",
    ];
    flags.extend(own.map(str::to_owned));
    let listeners = Listeners {
        main: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        admin: TcpListener::bind("127.0.0.1:0").await.unwrap(),
    };
    let harness = Harness {
        peers: peers.clone(),
        databases: fixture.databases.clone(),
        endpoint: listeners.main.local_addr().unwrap().to_string(),
        admin: listeners.admin.local_addr().unwrap(),
    };
    let serving = async move {
        let service = order::serve(config(flags), listeners, CancellationToken::new());
        tokio::try_join!(peers.serve(peers_listener), service).map(drop)
    };
    (harness, serving)
}

/// One customer or guest, who sees what they wrote though replicas are late.
#[derive(Clone)]
pub struct Shopper {
    pub user_id: UserId,
    pub caller: Caller,
    pub cart_token: Option<String>,
    client: OrderServiceClient<Channel>,
    consistency: Consistency,
}

impl Shopper {
    pub async fn customer() -> Self {
        Self::at(&Harness::get().endpoint).await
    }

    pub async fn at(endpoint: &str) -> Self {
        let user_id = UserId::new(Slot::draw());
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = config([format!("--shards={}", Harness::get().databases.shards)]);
        let stop = CancellationToken::new();
        let chassis = Chassis::start("gateway", &settings.chassis, admin, stop).unwrap();
        let endpoints: Endpoints = endpoint.parse().unwrap();
        let channel = Channel::forwarding(&chassis, "order", &endpoints, Retry::Never);
        Self {
            user_id,
            caller: Caller {
                kind: caller::Kind::Customer,
                user_id: Some(user_id),
                session_id: None,
            },
            cart_token: None,
            client: OrderServiceClient::new(channel),
            consistency: Consistency::default(),
        }
    }

    pub async fn guest() -> Self {
        Self {
            caller: Caller::default(),
            ..Self::customer().await
        }
    }

    /// The same connection in another's name.
    pub fn as_caller(&self, caller: Caller) -> Self {
        Self {
            caller,
            ..self.clone()
        }
    }

    pub fn as_staff(&self) -> Self {
        self.as_caller(Caller {
            kind: caller::Kind::Staff,
            user_id: Some(UserId::new(Slot::draw())),
            session_id: None,
        })
    }

    pub async fn call<T>(
        &self,
        call: impl AsyncFnOnce(OrderServiceClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        let context = Context {
            caller: self.caller.clone(),
            deadline: Some(Instant::now() + Duration::from_secs(10)),
            consistency: self.consistency.clone(),
            ..Context::default()
        };
        let answer = context.scope(call(self.client.clone())).await;
        answer.map(Response::into_inner)
    }

    pub async fn add(&mut self, sku: &str, quantity: i64) -> Result<wire::Cart, Status> {
        let request = wire::AddCartItemRequest {
            cart_token: self.cart_token.clone(),
            item: Some(wire::add_cart_item_request::Item::Sku(sku.to_owned())),
            quantity,
        };
        let answer = self
            .call(async |mut it| it.add_cart_item(request).await)
            .await?;
        self.cart_token = answer.cart_token.or(self.cart_token.take());
        Ok(answer.cart.unwrap())
    }

    pub async fn cart(&self) -> wire::Cart {
        let request = wire::GetCartRequest {
            cart_token: self.cart_token.clone(),
        };
        let answer = self.call(async |mut it| it.get_cart(request).await).await;
        answer.unwrap().cart.unwrap()
    }

    pub async fn place(&self, key: &str, token: &str) -> Result<wire::PlaceOrderResponse, Status> {
        let request = placement(key, token);
        self.call(async |mut it| it.place_order(request).await)
            .await
    }

    /// Places an order that must be confirmed.
    pub async fn order(&mut self, sku: &str, quantity: i64) -> wire::Order {
        self.add(sku, quantity).await.unwrap();
        let order = self.place("key", "tok_ok").await.unwrap().order.unwrap();
        assert_eq!(order.status(), wire::OrderStatus::Confirmed);
        order
    }

    pub async fn get(&self, order_id: &str) -> Result<wire::Order, Status> {
        let order_id = order_id.to_owned();
        let request = wire::GetOrderRequest { order_id };
        let answer = self
            .call(async |mut it| it.get_order(request).await)
            .await?;
        Ok(answer.order.unwrap())
    }

    pub async fn cancel(&self, order_id: &str) -> Result<wire::Order, Status> {
        let request = wire::CancelOrderRequest {
            order_id: order_id.to_owned(),
            reason: Some("changed my mind".to_owned()),
        };
        let answer = self
            .call(async |mut it| it.cancel_order(request).await)
            .await?;
        Ok(answer.order.unwrap())
    }

    pub async fn timeline(&self, order_id: &str) -> Vec<wire::TimelineEntry> {
        let order_id = order_id.to_owned();
        let request = wire::GetOrderTimelineRequest { order_id };
        let answer = self
            .call(async |mut it| it.get_order_timeline(request).await)
            .await;
        answer.unwrap().entries
    }

    pub async fn list(
        &self,
        request: wire::ListOrdersRequest,
    ) -> Result<wire::ListOrdersResponse, Status> {
        self.call(async |mut it| it.list_orders(request).await)
            .await
    }
}

pub fn placement(key: &str, token: &str) -> wire::PlaceOrderRequest {
    wire::PlaceOrderRequest {
        idempotency_key: key.to_owned(),
        address: Some(wire::place_order_request::Address::ShippingAddress(
            address(),
        )),
        payment_token: token.to_owned(),
        expected_total: None,
    }
}

pub fn address() -> proto::common::v1::Address {
    proto::common::v1::Address {
        name: "Customer One".to_owned(),
        line1: "1 Main Street".to_owned(),
        line2: None,
        city: "Springfield".to_owned(),
        region: None,
        postal_code: "12345".to_owned(),
        country: "US".to_owned(),
    }
}

pub fn usd(minor_units: i64) -> Option<proto::common::v1::Money> {
    Some(Money::new(minor_units, "USD".parse().unwrap()).into())
}

/// A SKU of its own for a test, at 5.00 USD.
pub fn sell(sku: &str, stock: u32) -> String {
    sell_of(&ProductId::new(Slot::draw()).to_string(), sku, stock)
}

pub fn sell_of(product_id: &str, sku: &str, stock: u32) -> String {
    let mut state = Harness::get().peers.state();
    state.stock.insert(sku.to_owned(), stock);
    let variant = proto::product::v1::SoldVariant {
        sku: sku.to_owned(),
        product_id: product_id.to_owned(),
        name: "Mug".to_owned(),
        options: [("colour".to_owned(), "red".to_owned())].into(),
        price: usd(500),
        active: true,
        version: 1,
    };
    state.variants.insert(sku.to_owned(), variant);
    sku.to_owned()
}

/// Waits until nothing is left to be done for the order.
pub async fn settled(order_id: &str) {
    let sql = format!("select order_id::text from saga_timers where order_id = '{order_id}'");
    testkit::eventually(Duration::from_secs(60), async || {
        Harness::get().query(&sql).await.is_empty().then_some(())
    })
    .await;
}

/// What does not agree with the order's status among its stock and money.
pub fn disagreement(order: &wire::Order) -> Option<String> {
    use wire::OrderStatus as S;
    let state = Harness::get().peers.state();
    let paid = state.payments.get(&order.payment_id);
    let holds = order.lines.iter().map(|line| {
        let hold = state.holds.get(&(order.order_id.clone(), line.sku.clone()));
        (hold, line.quantity)
    });
    let holds: Vec<_> = holds.collect();
    let right = match order.status() {
        S::Confirmed | S::Fulfilled => {
            let claimed =
                |(hold, quantity): &(Option<&Hold>, u32)| *hold == Some(&Hold::Claimed(*quantity));
            paid == Some(&Paid::Captured) && holds.iter().all(claimed)
        }
        S::Cancelled | S::Rejected => {
            let nothing_taken = !matches!(paid, Some(Paid::Authorized | Paid::Captured));
            nothing_taken && holds.iter().all(|(hold, _)| *hold == Some(&Hold::Released))
        }
        _ => false,
    };
    (!right).then(|| format!("{:?}: {paid:?}, {holds:?}", order.status()))
}
