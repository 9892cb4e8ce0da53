//! All five services in one small server, whose answers a test chooses.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use prost::Message;
use tonic::Status;
use tonic::metadata::MetadataMap;

type Answer = dyn Fn(&MetadataMap, Bytes) -> Result<Vec<u8>, Status> + Send + Sync;

/// One call that came in.
#[derive(Clone)]
pub struct Call {
    pub path: String,
    pub metadata: MetadataMap,
}

/// Clones are the same server.
#[derive(Clone, Default)]
pub struct Backends {
    answers: Arc<Mutex<HashMap<String, Arc<Answer>>>>,
    calls: Arc<Mutex<Vec<Call>>>,
    /// Methods that never answer.
    silent: Arc<Mutex<HashSet<String>>>,
    /// Sent with every answer.
    position: Arc<Mutex<Option<String>>>,
}

impl Backends {
    /// Listens on a free port.
    pub async fn start() -> (Self, SocketAddr) {
        let backends = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(backends.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "a server of the test, which ends with it"
        )]
        tokio::spawn(async move { axum::serve(listener, router).await });
        (backends, address)
    }

    /// Answers `method`, such as `order.v1.OrderService/PlaceOrder`, from now on.
    pub fn on<I: Message + Default, O: Message>(
        &self,
        method: &str,
        answer: impl Fn(I) -> Result<O, Status> + Send + Sync + 'static,
    ) {
        let answer = move |_: &MetadataMap, bytes| {
            let request = I::decode(bytes).map_err(|error| Status::internal(error.to_string()))?;
            answer(request).map(|message| message.encode_to_vec())
        };
        lock(&self.answers).insert(format!("/{method}"), Arc::new(answer));
    }

    /// Never answers `method` from now on.
    pub fn fall_silent(&self, method: &str) {
        lock(&self.silent).insert(format!("/{method}"));
    }

    /// What the answers say that they were read at.
    pub fn set_position(&self, token: &str) {
        *lock(&self.position) = Some(token.to_owned());
    }

    /// The calls of one method so far.
    pub fn calls(&self, method: &str) -> Vec<Call> {
        let calls = lock(&self.calls);
        calls
            .iter()
            .filter(|call| call.path.ends_with(method))
            .cloned()
            .collect()
    }

    fn reply(&self, path: &str, metadata: MetadataMap, body: Bytes) -> Result<Vec<u8>, Status> {
        let known = lock(&self.answers).get(path).cloned();
        lock(&self.calls).push(Call {
            path: path.to_owned(),
            metadata: metadata.clone(),
        });
        let answer = known.ok_or_else(|| Status::unimplemented(path.to_owned()))?;
        answer(&metadata, body)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// A unary call: see the gRPC over HTTP/2 protocol, "Length-Prefixed-Message".
async fn answer(State(backends): State<Backends>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let metadata = MetadataMap::from_headers(request.headers().clone());
    let mut body = request.into_body().collect().await.unwrap().to_bytes();
    body.advance(5);
    let reply = backends.reply(&path, metadata, body);
    if lock(&backends.silent).contains(&path) {
        std::future::pending::<()>().await;
    }
    match reply {
        Ok(message) => {
            let mut frame = BytesMut::new();
            frame.put_u8(0);
            frame.put_u32(message.len() as u32);
            frame.extend_from_slice(&message);
            let trailers = [("grpc-status".parse().unwrap(), "0".parse().unwrap())];
            let body = Full::new(frame.freeze())
                .with_trailers(async { Some(Ok(trailers.into_iter().collect())) });
            let mut response = Response::new(Body::new(body));
            let headers = response.headers_mut();
            headers.insert("content-type", "application/grpc".parse().unwrap());
            if let Some(position) = lock(&backends.position).as_deref() {
                headers.insert("x-consistency", position.parse().unwrap());
            }
            response
        }
        Err(status) => status.into_http(),
    }
}
