//! The payment service with its real servers and the simulator, one for the test binary.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use chassis::client::{Channel, Endpoints, Retry};
use chassis::{Caller, Chassis, Consistency, Context, Listeners, caller};
use clap::Parser as _;
use events::operator::Operation;
use payment::Config;
use proto::payment::v1 as wire;
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use testkit::{Databases, Service};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};
use types::{Money, OrderId, PaymentId, Slot, UserId};

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

fn config(flags: impl IntoIterator<Item = String>) -> Config {
    let secret = format!("--caller-secret={}", "s".repeat(32));
    let own = ["payment".to_owned(), secret];
    Cli::try_parse_from(own.into_iter().chain(flags))
        .unwrap_or_else(|error| panic!("{error}"))
        .config
}

async fn migrate(databases: Databases) -> anyhow::Result<()> {
    let flags = [
        format!("--shards={}", databases.shards),
        format!("--direct={}", databases.direct),
    ];
    payment::operate(&config(flags), &Operation::Migrate).await
}

/// What runs behind the tests.
pub struct Harness {
    pub provider_url: String,
    pub databases: Databases,
    /// As the service is set up.
    pub config: Config,
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
}

async fn start(flags: &[&str]) -> (Harness, impl Future<Output = anyhow::Result<()>>) {
    let simulator = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let provider_url = format!("http://{}", simulator.local_addr().unwrap());
    let fixture = testkit::fixture(Service::Payment, migrate).await;
    let own = [
        format!("--provider-url={provider_url}"),
        "--pool-wait-ms=5000".to_owned(),
    ];
    let flags = flags.iter().map(ToString::to_string);
    let config = config(fixture.flags().into_iter().chain(own).chain(flags));
    let listeners = Listeners {
        main: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        admin: TcpListener::bind("127.0.0.1:0").await.unwrap(),
    };
    let harness = Harness {
        provider_url,
        databases: fixture.databases.clone(),
        config: config.clone(),
        endpoint: listeners.main.local_addr().unwrap().to_string(),
    };
    let serving = async {
        tokio::try_join!(
            simulator::serve(simulator, None, std::future::pending()),
            payment::serve(config, listeners, CancellationToken::new()),
        )
        .map(drop)
    };
    (harness, serving)
}

/// One customer's order and its payment, in a slot that no other test of the binary uses.
#[derive(Clone)]
pub struct Till {
    pub slot: Slot,
    pub user_id: UserId,
    pub order_id: OrderId,
    pub payment_id: PaymentId,
    client: PaymentServiceClient<Channel>,
    /// What was written so far must be seen, though replicas are late.
    consistency: Consistency,
}

impl Till {
    pub async fn open(harness: &Harness) -> Self {
        static NEXT_SLOT: AtomicU16 = AtomicU16::new(0);
        let slot = Slot::new(NEXT_SLOT.fetch_add(1, Ordering::Relaxed)).unwrap();
        let chassis = caller_chassis(harness).await;
        let endpoints: Endpoints = harness.endpoint.parse().unwrap();
        let channel = Channel::forwarding(&chassis, "payment", &endpoints, Retry::Never);
        Self {
            slot,
            user_id: UserId::new(slot),
            order_id: OrderId::new(slot),
            payment_id: PaymentId::new(slot),
            client: PaymentServiceClient::new(channel),
            consistency: Consistency::default(),
        }
    }

    /// Another order of the same customer.
    pub fn next_order(&self) -> Self {
        Self {
            order_id: OrderId::new(self.slot),
            payment_id: PaymentId::new(self.slot),
            ..self.clone()
        }
    }

    pub fn authorize_request(&self, key: &str, token: &str) -> wire::AuthorizeRequest {
        wire::AuthorizeRequest {
            idempotency_key: key.to_owned(),
            payment_id: self.payment_id.to_string(),
            order_id: self.order_id.to_string(),
            user_id: self.user_id.to_string(),
            amount: usd(100),
            payment_token: token.to_owned(),
        }
    }

    pub fn capture_request(&self, key: &str) -> wire::CaptureRequest {
        wire::CaptureRequest {
            idempotency_key: key.to_owned(),
            payment_id: self.payment_id.to_string(),
            amount: usd(100),
        }
    }

    pub fn refund_request(&self, key: &str, minor_units: Option<i64>) -> wire::RefundRequest {
        wire::RefundRequest {
            idempotency_key: key.to_owned(),
            payment_id: self.payment_id.to_string(),
            amount: minor_units.and_then(usd),
            reason: "returned".to_owned(),
        }
    }

    pub async fn authorize(&self, token: &str) -> wire::AuthorizeResponse {
        let request = self.authorize_request("authorize", token);
        self.as_order(async |mut client| client.authorize(request).await)
            .await
            .unwrap()
    }

    pub async fn capture(&self, key: &str) -> wire::CaptureResponse {
        let request = self.capture_request(key);
        self.as_order(async |mut client| client.capture(request).await)
            .await
            .unwrap()
    }

    pub async fn void(&self, key: &str) -> wire::VoidResponse {
        let request = wire::VoidRequest {
            idempotency_key: key.to_owned(),
            payment_id: self.payment_id.to_string(),
            order_id: self.order_id.to_string(),
        };
        self.as_order(async |mut client| client.void(request).await)
            .await
            .unwrap()
    }

    pub async fn refund(
        &self,
        key: &str,
        minor_units: Option<i64>,
    ) -> Result<wire::RefundResponse, Status> {
        let request = self.refund_request(key, minor_units);
        self.as_order(async |mut client| client.refund(request).await)
            .await
    }

    pub async fn get_payment_as(&self, caller: Caller) -> Result<wire::Payment, Status> {
        let payment_id = self.payment_id.to_string();
        let request = wire::GetPaymentRequest { payment_id };
        let answer = self
            .call(caller, Duration::from_secs(10), async |mut client| {
                client.get_payment(request).await
            })
            .await?;
        Ok(answer.payment.unwrap())
    }

    pub async fn get_payment(&self) -> wire::Payment {
        self.get_payment_as(staff()).await.unwrap()
    }

    /// A call of the order service, with all the time in the world.
    pub async fn as_order<T>(
        &self,
        call: impl AsyncFnOnce(PaymentServiceClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        let caller = Caller::service("order", Some(self.user_id));
        self.call(caller, Duration::from_secs(10), call).await
    }

    pub async fn call<T>(
        &self,
        caller: Caller,
        limit: Duration,
        call: impl AsyncFnOnce(PaymentServiceClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        let context = Context {
            caller,
            deadline: Some(Instant::now() + limit),
            consistency: self.consistency.clone(),
            ..Context::default()
        };
        let answer = context.scope(call(self.client.clone())).await;
        answer.map(Response::into_inner)
    }
}

/// What a caller of the service stands on.
pub async fn caller_chassis(harness: &Harness) -> Chassis {
    let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shutdown = CancellationToken::new();
    Chassis::start("order", &harness.config.chassis, admin, shutdown).unwrap()
}

pub fn usd(minor_units: i64) -> Option<proto::common::v1::Money> {
    Some(Money::new(minor_units, "USD".parse().unwrap()).into())
}

pub fn customer(user_id: UserId) -> Caller {
    Caller {
        kind: caller::Kind::Customer,
        user_id: Some(user_id),
        session_id: None,
    }
}

pub fn staff() -> Caller {
    Caller {
        kind: caller::Kind::Staff,
        user_id: Some(UserId::new(Slot::draw())),
        session_id: None,
    }
}

/// What the provider has granted for an order.
pub async fn charges(harness: &Harness, order_id: OrderId) -> Vec<serde_json::Value> {
    let url = format!("{}/v1/charges?reference={order_id}", harness.provider_url);
    let mut answer: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    serde_json::from_value(answer["charges"].take()).unwrap()
}
