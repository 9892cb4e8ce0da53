use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use devstack::platform::Platform;
use devstack::service::Service;
use devstack::sink::SinkClient;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Setting, System, eventually};
use tests::shared::PATIENT;
use tests::stall::{Stall, order_body, random};
use tests::visitor::Visitor;

use crate::metrics;

/// What every kind of span has one of.
const ATTRIBUTES: [(&str, &str); 5] = [
    ("rpc.system.name", "grpc"),
    ("db.system.name", "postgresql"),
    ("db.system.name", "redis"),
    ("messaging.system", "kafka"),
    ("http.request.method", "POST"),
];

/// Where something was told, and what.
type Told = BTreeMap<String, String>;

/// Which secrets were told where.
fn leaks<'a>(told: &Told, secrets: &'a BTreeMap<&str, String>) -> Vec<(&'a str, String)> {
    let places = told.iter().flat_map(|(place, text)| {
        let found = secrets.iter().filter(|(_, secret)| text.contains(*secret));
        found.map(|(name, _)| (*name, place.clone()))
    });
    places.collect()
}

/// Everything that the platform has told: spans, log lines, metrics.
async fn gather(platform: &Platform) -> Told {
    let mut told = Told::new();
    for service in Service::ALL {
        let name = service.name();
        let log = fs::read_to_string(platform.home.log(name)).unwrap();
        told.insert(format!("log of {name}"), log);
        let text = metrics(platform, service).await;
        told.insert(format!("metrics of {name}"), text);
    }
    let sink = SinkClient::new(platform.traces_url());
    for (attribute, value) in ATTRIBUTES {
        for trace_id in sink.trace_ids_with(attribute, value).await.unwrap() {
            let spans = sink.trace(&trace_id).await.unwrap();
            let text = serde_json::to_string(&spans).unwrap();
            told.insert(format!("trace {trace_id}"), text);
        }
    }
    told
}

/// The private parts of the signing keys, and what the services sign callers with.
fn keys_of(platform: &Platform) -> Vec<String> {
    let keys: Value = serde_json::from_slice(&fs::read(platform.home.keys()).unwrap()).unwrap();
    let mut secrets: Vec<String> = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["d"].as_str().unwrap().to_owned())
        .collect();
    secrets.push(fs::read_to_string(platform.home.caller_secret()).unwrap());
    secrets
}

/// Everything a customer has to hide, in use: right, wrong and refused.
async fn load(stall: &Stall) -> BTreeMap<&'static str, String> {
    let mut customer = Visitor::customer(&stall.platform).await.unwrap();
    let mut secrets = BTreeMap::from([
        ("first password", customer.password.clone()),
        ("first access token", customer.access_token.clone().unwrap()),
        ("first refresh token", customer.refresh_token.clone()),
        ("wrong password", format!("wrong-{:016x}", random())),
        ("new password", format!("new-{:016x}", random())),
        ("card token", "tok_ok".to_owned()),
        ("unknown card token", format!("tok_{:016x}", random())),
    ]);
    let wrong = json!({"email": customer.email, "password": secrets["wrong password"]});
    customer
        .post("/api/auth/login", &wrong)
        .await
        .unwrap()
        .expect(401);
    customer.refresh().await.unwrap().expect(200);
    for token in ["card token", "unknown card token"] {
        let item = json!({"sku": stall.sku, "quantity": 1});
        customer.post("/api/cart/items", &item).await.unwrap();
        let order = order_body(&secrets[token]);
        let placed = customer.post_once("/api/orders", token, &order).await;
        let status = placed.unwrap().status;
        assert!([201, 202, 402].contains(&status), "{status}");
    }
    let change = json!({
        "password": secrets["new password"],
        "currentPassword": customer.password,
    });
    let changed = customer.send(Method::PATCH, "/api/users/me", &change).await;
    changed.unwrap().expect(200);
    secrets.insert("access token", customer.access_token.clone().unwrap());
    secrets.insert("refresh token", customer.refresh_token.clone());
    secrets
}

#[tokio::test]
async fn no_secret_is_in_any_span_log_line_or_metric() {
    // Everything that can be told is told.
    let talkative = Service::ALL.map(|service| (service, "LOG_FORMAT", "json"));
    let filters = Service::ALL.map(|service| (service, "LOG_FILTER", "debug,h2=info,rustls=info"));
    let settings: Vec<Setting<'_>> = PATIENT
        .into_iter()
        .chain(talkative)
        .chain(filters)
        .collect();
    let system = System::start(&settings).await;
    let platform = &system.platform;
    let stall = Stall::open(platform, 10).await.unwrap();

    let mut secrets = load(&stall).await;
    stall.expect_agreement().await;
    for (name, key) in ["signing key", "caller secret"]
        .into_iter()
        .zip(keys_of(platform))
    {
        secrets.insert(name, key);
    }
    // The same spans, lines and figures tell what is no secret.
    let told = eventually(Duration::from_secs(20), async || {
        let told = gather(platform).await;
        let kinds = [
            "publish order.events",
            "POST /api/auth/login",
            "process order.events",
        ];
        let has = |text: &&str| told.values().any(|told| told.contains(*text));
        kinds.iter().all(has).then_some(told)
    })
    .await;

    assert_eq!(leaks(&told, &secrets), []);
    // The search finds what is there, in each kind of place.
    let planted = |kind: &str| {
        let mut told = told.clone();
        let text = told.iter_mut().find(|(place, _)| place.starts_with(kind));
        text.unwrap().1.push_str(&secrets["access token"]);
        leaks(&told, &secrets)
    };
    for kind in ["log", "metrics", "trace"] {
        assert!(!planted(kind).is_empty(), "{kind}");
    }
}
