use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::{self, Endpoint};
use tower::Service as _;

use crate::Chassis;

/// How often names are looked up again.
const LOOKUP_EVERY: Duration = Duration::from_secs(3);

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// An address that refused a call is passed over this long, while there is another.
const EJECTED: Duration = Duration::from_secs(1);

/// One lazy connection for each address; of two at random, the one with fewer requests in flight.
/// (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001.)
pub(super) struct Picker {
    backends: Arc<ArcSwap<Vec<Arc<Backend>>>>,
}

struct Backend {
    address: SocketAddr,
    channel: transport::Channel,
    in_flight: AtomicUsize,
    /// Milliseconds since `started`.
    ejected_until: AtomicU64,
    started: Instant,
}

impl Picker {
    /// Looks the names up now and again until the service stops.
    pub(super) fn start(chassis: &Chassis, names: &[String]) -> Self {
        let literal = names.iter().filter_map(|name| name.parse().ok());
        let backends = Arc::new(ArcSwap::from_pointee(literal.map(Backend::new).collect()));
        let all_literal = names.iter().all(|name| name.parse::<SocketAddr>().is_ok());
        if !all_literal {
            let (backends, names) = (backends.clone(), names.to_vec());
            let shutdown = chassis.shutdown();
            chassis.tasks().spawn_worker(async move {
                while !shutdown.is_cancelled() {
                    refresh(&backends, &names).await;
                    let pause = tokio::time::sleep(LOOKUP_EVERY);
                    tokio::select! { () = pause => {}, () = shutdown.cancelled() => {} }
                }
            });
        }
        Self { backends }
    }

    /// `None` while no name has an address.
    pub(super) fn pick(&self) -> Option<Picked> {
        let backends = self.backends.load();
        let (len, at) = (backends.len(), |i: usize| backends.get(i).cloned());
        let chosen = match len {
            0 => None,
            1 => at(0),
            _ => {
                let first = rand::random_range(0..len);
                let second = (first + rand::random_range(1..len)) % len;
                let (first, second) = (at(first)?, at(second)?);
                Some(if first.cost() <= second.cost() {
                    first
                } else {
                    second
                })
            }
        };
        chosen.map(Picked::new)
    }
}

async fn refresh(backends: &ArcSwap<Vec<Arc<Backend>>>, names: &[String]) {
    let mut found = Vec::new();
    for name in names {
        match tokio::net::lookup_host(name).await {
            Ok(addresses) => found.extend(addresses),
            Err(error) => tracing::warn!(%name, %error, "a backend's name has no address"),
        }
    }
    if found.is_empty() {
        // A lookup that fails is no reason to forget what worked.
        return;
    }
    found.sort_unstable();
    found.dedup();
    let current = backends.load();
    let known: HashMap<SocketAddr, &Arc<Backend>> =
        current.iter().map(|b| (b.address, b)).collect();
    let next = found.into_iter().map(|address| {
        known
            .get(&address)
            .map_or_else(|| Backend::new(address), |b| Arc::clone(b))
    });
    backends.store(Arc::new(next.collect()));
}

impl Backend {
    fn new(address: SocketAddr) -> Arc<Self> {
        // A socket address always makes an endpoint.
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .unwrap_or_else(|_| Endpoint::from_static("http://127.0.0.1:1"));
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(2))
            .connect_lazy();
        Arc::new(Self {
            address,
            channel,
            in_flight: AtomicUsize::new(0),
            ejected_until: AtomicU64::new(0),
            started: Instant::now(),
        })
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// An ejected address costs more than any other.
    fn cost(&self) -> (bool, usize) {
        let ejected = self.ejected_until.load(Ordering::Relaxed) > self.now();
        (ejected, self.in_flight.load(Ordering::Relaxed))
    }
}

/// One request's hold on a backend.
pub(super) struct Picked(Arc<Backend>);

impl Picked {
    fn new(backend: Arc<Backend>) -> Self {
        backend.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(backend)
    }

    pub(super) async fn call(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Body>, transport::Error> {
        let mut channel = self.0.channel.clone();
        std::future::poll_fn(|cx| channel.poll_ready(cx)).await?;
        channel.call(request).await
    }

    pub(super) fn eject(&self) {
        let until = self.0.now() + EJECTED.as_millis() as u64;
        self.0.ejected_until.store(until, Ordering::Relaxed);
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
