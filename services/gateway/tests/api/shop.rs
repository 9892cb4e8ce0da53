//! The real gateway on real Redis and Kafka, in front of fake services.

use std::sync::Arc;
use std::time::Duration;

use auth::{Claims, Role, Signer};
use chassis::Listeners;
use clap::{Args as _, FromArgMatches as _};
use gateway::Config;
use jiff::{SignedDuration, Timestamp};
use proto::common::v1::Money;
use proto::order::v1 as order;
use proto::user::v1::{ListKeysRequest, ListKeysResponse};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use testkit::{Fixture, Service};
use tokio_util::sync::{CancellationToken, DropGuard};
use types::{EventId, SessionId, Slot, UserId};

use crate::backends::Backends;

pub const GET_CART: &str = "order.v1.OrderService/GetCart";

pub struct Shop {
    pub backends: Backends,
    pub fixture: &'static Fixture,
    pub signer: Arc<Signer>,
    url: String,
    admin_url: String,
    client: reqwest::Client,
    _stop: DropGuard,
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// With more settings, as flags.
    pub async fn open_with(flags: &[&str]) -> Self {
        let fixture = testkit::fixture(Service::Gateway, async |_| Ok(())).await;
        let (backends, address) = Backends::start().await;
        let signer = Arc::new(Signer::from_jwks(&auth::generate_keys().unwrap()).unwrap());
        let jwks = signer.jwks().unwrap();
        backends.on("user.v1.UserService/ListKeys", move |_: ListKeysRequest| {
            Ok(ListKeysResponse { jwks: jwks.clone() })
        });
        let listeners = Listeners {
            main: tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(),
            admin: tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(),
        };
        let url = format!("http://{}", listeners.main.local_addr().unwrap());
        let admin_url = format!("http://{}", listeners.admin.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let config = config(fixture, &address.to_string(), flags);
        let serving = gateway::serve(config, listeners, shutdown.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "a server of the test, which ends with it"
        )]
        tokio::spawn(async move { serving.await.unwrap() });
        Self {
            backends,
            fixture,
            signer,
            url,
            admin_url,
            client: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            _stop: shutdown.drop_guard(),
        }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// Waits for a line of the gateway's metrics that has all these texts.
    pub async fn metric(&self, texts: &[&str]) -> String {
        testkit::eventually(Duration::from_secs(15), async || {
            let metrics = self.metrics().await;
            let mut lines = metrics.lines();
            let found = lines.find(|line| texts.iter().all(|text| line.contains(text)))?;
            Some(found.to_owned())
        })
        .await
    }

    pub async fn metrics(&self) -> String {
        let metrics = self.client.get(format!("{}/metrics", self.admin_url));
        metrics.send().await.unwrap().text().await.unwrap()
    }

    /// Everybody has an empty cart.
    pub fn keep_carts(&self) {
        self.backends.on(GET_CART, |_: order::GetCartRequest| {
            Ok(order::GetCartResponse {
                cart: Some(order::Cart::default()),
            })
        });
    }

    /// As the relay of a service does it.
    pub async fn publish(&self, topic: &str, kind: &str, event: &impl prost::Message) {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.fixture.kafka_brokers)
            .create()
            .unwrap();
        let id = EventId::new(Slot::draw()).to_string();
        let time = Timestamp::now().to_string();
        let headers = [
            ("ce_id", id.as_str()),
            ("ce_type", kind),
            ("ce_time", &time),
            ("ce_subject", "key"),
        ];
        let headers = headers
            .into_iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(value),
                })
            });
        let topic = format!("{}{topic}", self.fixture.topic_prefix);
        let payload = event.encode_to_vec();
        let record = FutureRecord::to(&topic)
            .key("key")
            .payload(&payload)
            .headers(headers);
        producer
            .send(record, Duration::from_secs(10))
            .await
            .unwrap();
    }

    /// An access token of a new account.
    pub fn token(&self, role: Role) -> String {
        self.signer.sign(&claims(role)).unwrap()
    }
}

pub fn usd(minor_units: i64) -> Option<Money> {
    Some(Money {
        minor_units,
        currency: "USD".to_owned(),
    })
}

pub fn now() -> Option<prost_types::Timestamp> {
    Some(proto::timestamp(Timestamp::now()))
}

pub fn claims(role: Role) -> Claims {
    let slot = Slot::draw();
    Claims {
        user_id: UserId::new(slot),
        session_id: SessionId::new(slot),
        role,
        issued_at: Timestamp::now(),
        expires_at: Timestamp::now() + SignedDuration::from_mins(15),
    }
}

/// The status and the document.
pub async fn problem(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let document: Value = response.json().await.unwrap();
    assert_eq!(document["status"], status);
    assert_eq!(
        document["type"],
        format!("/problems/{}", document["code"].as_str().unwrap())
    );
    (status, document)
}

fn config(fixture: &Fixture, backends: &str, flags: &[&str]) -> Config {
    let secret = "k".repeat(32);
    let endpoints = ["user", "product", "order", "inventory", "payment"]
        .map(|peer| format!("--{peer}-endpoints={backends}"));
    let own = [
        "gateway".to_owned(),
        format!("--caller-secret={secret}"),
        format!("--redis-url={}", fixture.redis_url),
        format!("--kafka-brokers={}", fixture.kafka_brokers),
        format!("--topic-prefix={}", fixture.topic_prefix),
        // Tests share two cores with servers of their own.
        "--read-budget-ms=5000".to_owned(),
        "--write-budget-ms=5000".to_owned(),
    ];
    let arguments = own
        .into_iter()
        .chain(endpoints)
        .chain(flags.iter().map(|flag| (*flag).to_owned()));
    let command = Config::augment_args(clap::Command::new("gateway")).args_override_self(true);
    Config::from_arg_matches(&command.get_matches_from(arguments)).unwrap()
}
