use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::caller::CallerKey;
use crate::config::Config;
use crate::server::{self, Permissions};
use crate::tasks::Tasks;
use crate::telemetry::{self, ClientMetrics, GrpcMetrics};
use crate::trace::Sampling;

/// One running service: its tasks, its metrics, its health. Clones are the same service.
#[derive(Clone)]
pub struct Chassis(Arc<Inner>);

type Preparation = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

struct Inner {
    service: &'static str,
    tasks: Tasks,
    /// Tasks of the chassis itself, which go on until everything else has ended.
    admin_tasks: Tasks,
    registry: Mutex<Registry>,
    ready: AtomicBool,
    caller_key: CallerKey,
    grpc_metrics: GrpcMetrics,
    client_metrics: ClientMetrics,
    sampling: Sampling,
    preparation: OnceLock<Preparation>,
    linger: Duration,
    drain: Duration,
}

impl Chassis {
    /// Serves `/metrics` and the probes from now on; not ready yet.
    pub fn start(
        service: &'static str,
        config: &Config,
        admin: TcpListener,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        #[cfg(feature = "faults")]
        if let Some(point) = &config.fault_point {
            crate::faults::arm(point);
        }
        let mut registry = Registry::default();
        telemetry::register_build(&mut registry, service);
        registry.register_collector(Box::new(telemetry::Process));
        let chassis = Self(Arc::new(Inner {
            service,
            tasks: Tasks::new(shutdown),
            admin_tasks: Tasks::new(CancellationToken::new()),
            grpc_metrics: GrpcMetrics::register(&mut registry),
            client_metrics: ClientMetrics::register(&mut registry),
            sampling: config.sampling(),
            registry: Mutex::new(registry),
            ready: AtomicBool::new(false),
            caller_key: CallerKey::new(&config.caller_secret)?,
            preparation: OnceLock::new(),
            linger: Duration::from_millis(config.linger_ms),
            drain: Duration::from_millis(config.drain_ms),
        }));
        let stop = chassis.0.admin_tasks.shutdown();
        let router = admin::router(chassis.clone());
        chassis.0.admin_tasks.spawn_worker(async move {
            let served = axum::serve(admin, router).with_graceful_shutdown(stop.cancelled_owned());
            if let Err(error) = served.await {
                tracing::error!(%error, "the admin port failed");
            }
        });
        Ok(chassis)
    }

    pub fn service(&self) -> &'static str {
        self.0.service
    }

    pub fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    /// Cancelled when the service is to stop.
    pub fn shutdown(&self) -> CancellationToken {
        self.0.tasks.shutdown()
    }

    /// Adds metrics. Counters are registered without `_total`: the encoder appends it.
    pub fn register<T>(&self, add: impl FnOnce(&mut Registry) -> T) -> T {
        add(&mut self
            .0
            .registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    pub fn set_ready(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::Release);
    }

    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Acquire)
    }

    pub fn caller_key(&self) -> &CallerKey {
        &self.0.caller_key
    }

    /// What every call waits for before it is answered. It runs in the call's context; the first
    /// one that is given stays.
    pub fn before_calls(
        &self,
        prepare: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) {
        let _ = self.0.preparation.set(Box::new(prepare));
    }

    /// Does in the current context what [`before_calls`](Self::before_calls) was given.
    pub async fn prepare_call(&self) {
        if let Some(prepare) = self.0.preparation.get() {
            prepare().await;
        }
    }

    pub(crate) fn grpc_metrics(&self) -> &GrpcMetrics {
        &self.0.grpc_metrics
    }

    pub(crate) fn client_metrics(&self) -> &ClientMetrics {
        &self.0.client_metrics
    }

    /// Which requests are recorded as traces.
    pub fn sampling(&self) -> Sampling {
        self.0.sampling
    }

    pub(crate) fn encode_metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        self.register(|registry| prometheus_client::encoding::text::encode(&mut text, registry))?;
        Ok(text)
    }

    /// Becomes ready and answers gRPC calls until shutdown, then drains.
    pub async fn serve_grpc(
        &self,
        listener: TcpListener,
        permissions: Permissions,
        routes: tonic::service::Routes,
    ) -> anyhow::Result<()> {
        let router = server::router(self.clone(), permissions, routes);
        self.serve_http(listener, router).await
    }

    /// As [`serve_grpc`](Self::serve_grpc), for any router.
    ///
    /// At shutdown: readiness turns false, requests are still taken for the linger time, then
    /// requests and tasks have the drain time to end.
    pub async fn serve_http(
        &self,
        listener: TcpListener,
        router: axum::Router,
    ) -> anyhow::Result<()> {
        use axum::serve::ListenerExt as _;
        let listener = listener.tap_io(|stream| {
            // Small answers must not wait for more; if the socket refuses, they merely do.
            let _ = stream.set_nodelay(true);
        });
        self.set_ready(true);
        tracing::info!(service = self.service(), "ready");
        let (shutdown, chassis) = (self.shutdown(), self.clone());
        let stop = async move {
            shutdown.cancelled().await;
            chassis.set_ready(false);
            tokio::time::sleep(chassis.0.linger).await;
        };
        // With the peer's address, which rate limits count by.
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(listener, service).with_graceful_shutdown(stop);
        let (shutdown, limit) = (self.shutdown(), self.0.linger + self.0.drain);
        tokio::select! {
            served = serving => served?,
            () = async { shutdown.cancelled().await; tokio::time::sleep(limit).await } => {
                tracing::warn!("requests were cut off at the end of the drain time");
            }
        }
        self.close().await;
        Ok(())
    }

    /// Waits for the tasks, then closes the admin port.
    async fn close(&self) {
        if !self.tasks().close_and_wait(self.0.drain).await {
            tracing::warn!("tasks were cut off at the end of the drain time");
        }
        self.0.admin_tasks.shutdown().cancel();
        self.0
            .admin_tasks
            .close_and_wait(Duration::from_secs(1))
            .await;
    }
}
