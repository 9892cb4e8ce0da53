//! The inventory service on real servers, one for the test binary.

use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use chassis::client::{Channel, Endpoints, Retry};
use chassis::{Caller, Chassis, Consistency, Context, Listeners, caller};
use clap::Parser as _;
use events::operator::Operation;
use futures::future::BoxFuture;
use inventory::Config;
use proto::inventory::v1 as wire;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use testkit::{Databases, Fixture, Service};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};
use types::{OrderId, Sku, Slot, UserId};

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

pub fn config(flags: impl IntoIterator<Item = String>) -> Config {
    let secret = format!("--caller-secret={}", "s".repeat(32));
    let own = ["inventory".to_owned(), secret];
    Cli::try_parse_from(own.into_iter().chain(flags))
        .unwrap_or_else(|error| panic!("{error}"))
        .config
}

async fn migrate(databases: Databases) -> anyhow::Result<()> {
    let flags = [
        format!("--shards={}", databases.shards),
        format!("--direct={}", databases.direct),
    ];
    inventory::operate(&config(flags), &Operation::Migrate).await
}

/// What runs behind the tests.
pub struct Harness {
    pub fixture: &'static Fixture,
    endpoint: String,
}

impl Harness {
    /// Started by the first test, with the settings in `flags`, on threads that outlive each test.
    pub fn get(flags: &'static [&'static str]) -> &'static Self {
        static HARNESS: OnceLock<Harness> = OnceLock::new();
        HARNESS.get_or_init(|| {
            let (started, harness) = mpsc::channel();
            thread::spawn(move || {
                Runtime::new().unwrap().block_on(async {
                    let (harness, serving) = start(flags).await;
                    started.send(harness).unwrap();
                    serving.await.unwrap();
                });
            });
            harness.recv().unwrap()
        })
    }

    async fn client(&self, caller: Caller) -> Client {
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = config([format!("--shards={}", self.fixture.databases.shards)]);
        let chassis =
            Chassis::start("gateway", &config.chassis, admin, CancellationToken::new()).unwrap();
        let endpoints: Endpoints = self.endpoint.parse().unwrap();
        let channel = Channel::forwarding(&chassis, "inventory", &endpoints, Retry::Never);
        Client {
            caller,
            consistency: Consistency::default(),
            client: InventoryServiceClient::new(channel),
        }
    }

    pub async fn staff(&self) -> Client {
        self.signed_in(caller::Kind::Staff).await
    }

    pub async fn customer(&self) -> Client {
        self.signed_in(caller::Kind::Customer).await
    }

    async fn signed_in(&self, kind: caller::Kind) -> Client {
        let user_id = Some(UserId::new(Slot::draw()));
        self.client(Caller {
            kind,
            user_id,
            session_id: None,
        })
        .await
    }

    /// The order service.
    pub async fn orders(&self) -> Client {
        self.client(Caller::service("order", None)).await
    }
}

async fn start(flags: &[&str]) -> (Harness, BoxFuture<'static, anyhow::Result<()>>) {
    let fixture = testkit::fixture(Service::Inventory, migrate).await;
    let listeners = Listeners {
        main: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        admin: TcpListener::bind("127.0.0.1:0").await.unwrap(),
    };
    let harness = Harness {
        fixture,
        endpoint: listeners.main.local_addr().unwrap().to_string(),
    };
    // Many buyers at once wait for few connections; a hold's end must be seen soon.
    let own = ["--pool-wait-ms=9000", "--sweep-ms=50"];
    let flags = own.iter().chain(flags).map(ToString::to_string);
    let config = config(fixture.flags().into_iter().chain(flags));
    let serving = inventory::serve(config, listeners, CancellationToken::new());
    (harness, Box::pin(serving))
}

/// One caller of the inventory service, who remembers what was seen.
#[derive(Clone)]
pub struct Client {
    pub caller: Caller,
    pub consistency: Consistency,
    client: InventoryServiceClient<Channel>,
}

impl Client {
    pub async fn call<T>(
        &self,
        call: impl AsyncFnOnce(InventoryServiceClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        let context = Context {
            caller: self.caller.clone(),
            deadline: Some(Instant::now() + Duration::from_secs(20)),
            consistency: self.consistency.clone(),
            ..Context::default()
        };
        let answer = context.scope(call(self.client.clone())).await;
        answer.map(Response::into_inner)
    }

    pub async fn put(&self, request: wire::PutStockRequest) -> Result<wire::Stock, Status> {
        let answer = self.call(async |mut client| client.put_stock(request).await);
        Ok(answer.await?.stock.unwrap())
    }

    /// Puts so many units of the SKU into the warehouse.
    pub async fn stock(&self, sku: &Sku, warehouse_id: &str, on_hand: i64) {
        self.put(stock(sku, warehouse_id, on_hand)).await.unwrap();
    }

    pub async fn adjust(
        &self,
        request: wire::AdjustStockRequest,
    ) -> Result<wire::AdjustStockResponse, Status> {
        self.call(async |mut client| client.adjust_stock(request).await)
            .await
    }

    pub async fn available(&self, sku: &Sku) -> wire::Availability {
        let skus = vec![sku.to_string()];
        let request = wire::GetAvailabilityRequest { skus };
        let answer = self.call(async |mut client| client.get_availability(request).await);
        answer.await.unwrap().items.remove(0)
    }

    pub async fn reserve(
        &self,
        request: wire::ReserveRequest,
    ) -> Result<wire::ReserveResponse, Status> {
        self.call(async |mut client| client.reserve(request).await)
            .await
    }

    /// Reserves one line for 15 min.
    pub async fn hold(&self, order_id: OrderId, sku: &Sku, quantity: u32) -> wire::ReservedLine {
        let request = reserve(order_id, &[(sku, quantity)]);
        self.reserve(request).await.unwrap().lines.remove(0)
    }

    pub async fn claim(&self, order_id: OrderId, sku: &Sku) -> wire::ClaimOutcome {
        let request = wire::ClaimRequest {
            order_id: order_id.to_string(),
            skus: vec![sku.to_string()],
        };
        let answer = self.call(async |mut client| client.claim(request).await);
        answer.await.unwrap().lines[0].outcome()
    }

    pub async fn release(&self, order_id: OrderId, sku: &Sku) {
        let request = wire::ReleaseRequest {
            order_id: order_id.to_string(),
            skus: vec![sku.to_string()],
            reason: "cancelled".to_owned(),
        };
        let answer = self.call(async |mut client| client.release(request).await);
        answer.await.unwrap();
    }
}

pub fn order_id() -> OrderId {
    OrderId::new(Slot::draw())
}

pub fn stock(sku: &Sku, warehouse_id: &str, on_hand: i64) -> wire::PutStockRequest {
    wire::PutStockRequest {
        sku: sku.to_string(),
        warehouse_id: warehouse_id.to_owned(),
        on_hand,
        low_stock_threshold: 0,
        policy: wire::StockPolicy::ReserveOnOrder.into(),
        backorder_limit: 0,
        expected_version: None,
    }
}

pub fn reserve(order_id: OrderId, lines: &[(&Sku, u32)]) -> wire::ReserveRequest {
    let lines = lines.iter().map(|(sku, quantity)| wire::ReserveLine {
        sku: sku.to_string(),
        quantity: *quantity,
    });
    wire::ReserveRequest {
        order_id: order_id.to_string(),
        lines: lines.collect(),
        hold: None,
    }
}
