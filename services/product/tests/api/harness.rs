//! The product service on real servers, one for the test binary.

use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use chassis::client::{Channel, Endpoints, Retry};
use chassis::{Caller, Chassis, Consistency, Context, Listeners, caller};
use clap::Parser as _;
use events::operator::Operation;
use product::Config;
use proto::product::v1 as wire;
use proto::product::v1::product_service_client::ProductServiceClient;
use testkit::{Databases, Fixture, Service};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};
use types::{Money, Slot, UserId};

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

fn config(flags: impl IntoIterator<Item = String>) -> Config {
    let secret = format!("--caller-secret={}", "s".repeat(32));
    let own = ["product".to_owned(), secret];
    Cli::try_parse_from(own.into_iter().chain(flags))
        .unwrap_or_else(|error| panic!("{error}"))
        .config
}

async fn migrate(databases: Databases) -> anyhow::Result<()> {
    let flags = [
        format!("--shards={}", databases.shards),
        format!("--direct={}", databases.direct),
    ];
    product::operate(&config(flags), &Operation::Migrate).await
}

/// What runs behind the tests.
pub struct Harness {
    pub fixture: &'static Fixture,
    endpoint: String,
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

    /// A caller with a memory of its own.
    pub async fn caller(&self, caller: Caller) -> Client {
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = config([format!("--shards={}", self.fixture.databases.shards)]);
        let chassis =
            Chassis::start("gateway", &config.chassis, admin, CancellationToken::new()).unwrap();
        let endpoints: Endpoints = self.endpoint.parse().unwrap();
        let channel = Channel::forwarding(&chassis, "product", &endpoints, Retry::Never);
        Client {
            caller,
            consistency: Consistency::default(),
            client: ProductServiceClient::new(channel),
        }
    }

    pub async fn staff(&self) -> Client {
        let staff = Caller {
            kind: caller::Kind::Staff,
            user_id: Some(UserId::new(Slot::draw())),
            session_id: None,
        };
        self.caller(staff).await
    }

    pub async fn guest(&self) -> Client {
        self.caller(Caller::default()).await
    }
}

async fn start() -> (Harness, impl Future<Output = anyhow::Result<()>>) {
    let fixture = testkit::fixture(Service::Product, migrate).await;
    let listeners = Listeners {
        main: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        admin: TcpListener::bind("127.0.0.1:0").await.unwrap(),
    };
    let harness = Harness {
        fixture,
        endpoint: listeners.main.local_addr().unwrap().to_string(),
    };
    let config = config(fixture.flags());
    (
        harness,
        product::serve(config, listeners, CancellationToken::new()),
    )
}

/// One caller of the product service, who remembers what was seen.
pub struct Client {
    caller: Caller,
    consistency: Consistency,
    client: ProductServiceClient<Channel>,
}

impl Client {
    pub async fn call<T>(
        &self,
        call: impl AsyncFnOnce(ProductServiceClient<Channel>) -> Result<Response<T>, Status>,
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

    pub async fn create_category(&self, slug: &str) -> Result<wire::Category, Status> {
        let request = wire::CreateCategoryRequest {
            slug: slug.to_owned(),
            name: slug.to_owned(),
            parent_id: None,
        };
        let answer = self.call(async |mut client| client.create_category(request).await);
        Ok(answer.await?.category.unwrap())
    }

    pub async fn create(
        &self,
        product: wire::CreateProductRequest,
    ) -> Result<wire::Product, Status> {
        let answer = self.call(async |mut client| client.create_product(product).await);
        Ok(answer.await?.product.unwrap())
    }

    pub async fn update(
        &self,
        change: wire::UpdateProductRequest,
    ) -> Result<wire::Product, Status> {
        let answer = self.call(async |mut client| client.update_product(change).await);
        Ok(answer.await?.product.unwrap())
    }

    pub async fn get(&self, product_id: &str) -> Result<wire::Product, Status> {
        let id = wire::get_product_request::Product::ProductId(product_id.to_owned());
        self.get_by(id).await
    }

    pub async fn get_by_slug(&self, slug: &str) -> Result<wire::Product, Status> {
        self.get_by(wire::get_product_request::Product::Slug(slug.to_owned()))
            .await
    }

    async fn get_by(
        &self,
        key: wire::get_product_request::Product,
    ) -> Result<wire::Product, Status> {
        let request = wire::GetProductRequest { product: Some(key) };
        let answer = self.call(async |mut client| client.get_product(request).await);
        Ok(answer.await?.product.unwrap())
    }

    pub async fn search(
        &self,
        request: wire::SearchProductsRequest,
    ) -> Result<wire::SearchProductsResponse, Status> {
        self.call(async |mut client| client.search_products(request).await)
            .await
    }
}

/// A product of one variant.
pub fn product(category: &str, slug: &str, minor_units: i64) -> wire::CreateProductRequest {
    wire::CreateProductRequest {
        slug: slug.to_owned(),
        name: slug.replace('-', " "),
        description: String::new(),
        category: category.to_owned(),
        attributes: [("material".to_owned(), "clay".to_owned())].into(),
        variants: vec![variant(&slug.to_uppercase(), minor_units)],
    }
}

pub fn variant(sku: &str, minor_units: i64) -> wire::Variant {
    wire::Variant {
        sku: sku.to_owned(),
        options: [("size".to_owned(), "one".to_owned())].into(),
        price: Some(Money::new(minor_units, "USD".parse().unwrap()).into()),
    }
}
