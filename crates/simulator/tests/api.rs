//! The provider as a payment service sees it: over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::{path::Path, time::Duration};

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};

struct Simulator {
    base: String,
    client: Client,
    stop: oneshot::Sender<()>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Simulator {
    async fn start(state: Option<&Path>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let state = state.map(Path::to_owned);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            simulator::serve(listener, state.as_deref(), async {
                let _ = stopped.await;
            })
            .await
        });
        Self {
            base,
            client: Client::new(),
            stop,
            tasks,
        }
    }

    async fn stop(mut self) {
        self.stop.send(()).unwrap();
        self.tasks.join_next().await.unwrap().unwrap().unwrap();
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> Response {
        self.client
            .post(format!("{}{path}", self.base))
            .header("idempotency-key", key)
            .json(body)
            .send()
            .await
            .unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.client
            .get(format!("{}{path}", self.base))
            .send()
            .await
            .unwrap()
    }

    async fn authorize(&self, key: &str, token: &str) -> Value {
        let answer = self
            .post("/v1/authorizations", key, &authorization(token))
            .await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    /// An authorization of 20.00 with its path.
    async fn authorized(&self) -> String {
        let operation = self.authorize("authorize", "tok_ok").await;
        let id = operation["authorizationId"].as_str().unwrap();
        format!("/v1/authorizations/{id}")
    }

    async fn decided(&self, path: &str, key: &str, body: &Value) -> Value {
        let answer = self.post(path, key, body).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    async fn charges(&self) -> Vec<Value> {
        let charges: Value = self
            .get("/v1/charges?reference=order-1")
            .await
            .json()
            .await
            .unwrap();
        charges["charges"].as_array().unwrap().clone()
    }
}

fn amount(minor_units: i64) -> Value {
    json!({"amount": {"minorUnits": minor_units, "currency": "USD"}})
}

fn authorization(token: &str) -> Value {
    json!({
        "amount": {"minorUnits": 2000, "currency": "USD"},
        "token": token,
        "reference": "order-1",
    })
}

#[tokio::test]
async fn a_charge_is_authorized_captured_and_refunded() {
    let simulator = Simulator::start(None).await;
    let path = simulator.authorized().await;

    let captured = simulator
        .decided(&format!("{path}/captures"), "capture", &amount(2000))
        .await;
    let refunded = simulator
        .decided(&format!("{path}/refunds"), "refund", &amount(500))
        .await;

    assert_eq!(captured["status"], "succeeded");
    assert_eq!(refunded["status"], "succeeded");
    let charges = simulator.charges().await;
    assert_eq!(charges.len(), 1);
    assert_eq!(charges[0]["authorized"], 2000);
    assert_eq!(charges[0]["captured"], 2000);
    assert_eq!(charges[0]["refunded"], 500);
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_one_charge() {
    let simulator = Simulator::start(None).await;

    let first = simulator.authorize("key", "tok_ok").await;
    let second = simulator.authorize("key", "tok_ok").await;

    assert_eq!(first, second);
    assert_eq!(simulator.charges().await.len(), 1);
}

#[tokio::test]
async fn a_key_used_for_another_body_is_refused() {
    let simulator = Simulator::start(None).await;
    simulator.authorize("key", "tok_ok").await;

    let answer = simulator
        .post("/v1/authorizations", "key", &authorization("tok_slow_3s"))
        .await;

    assert_eq!(answer.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn each_bad_card_is_declined_with_its_reason() {
    let simulator = Simulator::start(None).await;

    for (token, reason) in [
        ("tok_declined", "card-declined"),
        ("tok_insufficient_funds", "insufficient-funds"),
        ("tok_expired", "expired-card"),
        ("tok_requires_action", "authentication-required"),
        ("tok_of_nobody", "invalid-token"),
    ] {
        let operation = simulator.authorize(token, token).await;

        assert_eq!(operation["status"], "declined");
        assert_eq!(operation["reason"], reason);
    }
    assert!(simulator.charges().await.is_empty());
}

#[tokio::test]
async fn more_than_authorized_is_not_captured_and_more_than_captured_not_refunded() {
    let simulator = Simulator::start(None).await;
    let path = simulator.authorized().await;
    let captures = format!("{path}/captures");
    let refunds = format!("{path}/refunds");
    simulator.decided(&captures, "first", &amount(1500)).await;

    let too_much = simulator.decided(&captures, "second", &amount(501)).await;
    let too_far = simulator.decided(&refunds, "third", &amount(1501)).await;

    assert_eq!(too_much["reason"], "amount-exceeds-authorized");
    assert_eq!(too_far["reason"], "amount-exceeds-captured");
    assert_eq!(simulator.charges().await[0]["captured"], 1500);
}

#[tokio::test]
async fn a_voided_authorization_is_not_captured() {
    let simulator = Simulator::start(None).await;
    let path = simulator.authorized().await;

    let voided = simulator
        .decided(&format!("{path}/void"), "void", &json!({}))
        .await;
    let captured = simulator
        .decided(&format!("{path}/captures"), "capture", &amount(1))
        .await;

    assert_eq!(voided["status"], "succeeded");
    assert_eq!(captured["reason"], "already-voided");
    assert_eq!(simulator.charges().await[0]["voided"], true);
}

#[tokio::test]
async fn a_charge_that_timed_out_is_found_by_its_key() {
    let simulator = Simulator::start(None).await;
    let silent = simulator
        .client
        .post(format!("{}/v1/authorizations", simulator.base))
        .timeout(Duration::from_millis(300))
        .header("idempotency-key", "key")
        .json(&authorization("tok_timeout_after_charge"))
        .send()
        .await;

    let found: Value = simulator
        .get("/v1/operations/key")
        .await
        .json()
        .await
        .unwrap();
    let repeated = simulator.authorize("key", "tok_timeout_after_charge").await;

    assert!(silent.unwrap_err().is_timeout());
    assert_eq!(found["status"], "succeeded");
    assert_eq!(found, repeated);
    assert_eq!(simulator.charges().await.len(), 1);
}

#[tokio::test]
async fn a_failing_call_has_no_effect_until_the_third_try() {
    let simulator = Simulator::start(None).await;
    let body = authorization("tok_error_500");

    for _ in 0..2 {
        let answer = simulator.post("/v1/authorizations", "key", &body).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let found = simulator.get("/v1/operations/key").await;
        assert_eq!(found.status(), StatusCode::NOT_FOUND);
    }
    let operation = simulator.authorize("key", "tok_error_500").await;

    assert_eq!(operation["status"], "succeeded");
    assert_eq!(simulator.charges().await.len(), 1);
}

#[tokio::test]
async fn a_restarted_simulator_remembers_keys_and_charges() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("simulator.jsonl");
    let simulator = Simulator::start(Some(&state)).await;
    let first = simulator.authorize("key", "tok_ok").await;
    simulator.stop().await;
    // What a kill in the middle of a write leaves behind.
    let torn = [std::fs::read(&state).unwrap(), b"{\"request\"".to_vec()].concat();
    std::fs::write(&state, torn).unwrap();

    let simulator = Simulator::start(Some(&state)).await;
    let second = simulator.authorize("key", "tok_ok").await;

    assert_eq!(first, second);
    assert_eq!(simulator.charges().await.len(), 1);
}

#[tokio::test]
async fn bad_input_is_refused_without_effect() {
    let simulator = Simulator::start(None).await;
    let client = &simulator.client;
    let authorizations = format!("{}/v1/authorizations", simulator.base);

    let without_key = client
        .post(&authorizations)
        .json(&authorization("tok_ok"))
        .send()
        .await
        .unwrap();
    let mut zero = authorization("tok_ok");
    zero["amount"]["minorUnits"] = json!(0);
    let zero = simulator.post("/v1/authorizations", "zero", &zero).await;
    let unknown = simulator
        .post("/v1/authorizations/auth_0/captures", "key", &amount(1))
        .await;

    assert_eq!(without_key.status(), StatusCode::BAD_REQUEST);
    assert_eq!(zero.status(), StatusCode::BAD_REQUEST);
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert!(simulator.charges().await.is_empty());
}
