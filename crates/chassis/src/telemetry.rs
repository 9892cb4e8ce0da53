//! Logs on standard output, traces over OTLP.

mod build;
mod grpc;
mod lines;
mod orders;
mod process;

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config::{Config, LogFormat};
use crate::trace::{Exemplar, Ids};
use lines::WithIds;

pub(crate) use build::register as register_build;
pub use grpc::DURATION_BUCKETS;
pub(crate) use grpc::{ClientMetrics, GrpcMetrics, is_our_fault};
pub use orders::{order_id, orders};
pub(crate) use process::Process;

/// Times, each bucket with the trace of one that fell into it.
pub type Durations = HistogramWithExemplars<Exemplar>;

/// Sends what is left when the process ends.
#[must_use = "spans are lost when it is dropped at once"]
pub struct Telemetry(SdkTracerProvider);

impl Drop for Telemetry {
    fn drop(&mut self) {
        // The process ends: there is nobody left to tell.
        let _ = self.0.shutdown();
    }
}

/// Starts logs and traces for the whole process; once.
pub fn init(service: &'static str, config: &Config) -> anyhow::Result<Telemetry> {
    let provider = tracer_provider(service, config)?;
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(service))
        .with_filter(EnvFilter::new(
            "info,h2=off,hyper=off,tonic=off,tower=off,sqlx=off,rdkafka=off",
        ));
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|error| anyhow::anyhow!("--log-filter: {error}"))?;
    let human = match config.log_format {
        LogFormat::Auto => std::io::stdout().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt::layer();
    let lines = if human {
        lines.with_filter(filter).boxed()
    } else {
        let lines = lines.json().flatten_event(true).with_span_list(false);
        let lines = lines.map_event_format(WithIds);
        lines.with_filter(filter).boxed()
    };
    tracing_subscriber::registry()
        .with(lines)
        .with(traces)
        .with(orders())
        .try_init()?;
    Ok(Telemetry(provider))
}

fn tracer_provider(service: &'static str, config: &Config) -> anyhow::Result<SdkTracerProvider> {
    // Whoever makes a span has decided that it is recorded: see `trace`.
    let mut provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOn)
        .with_id_generator(Ids::default())
        .with_resource(Resource::builder().with_service_name(service).build());
    if let Some(endpoint) = &config.otlp_endpoint {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .build()
            .map_err(|error| anyhow::anyhow!("--otlp-endpoint: {error}"))?;
        provider = provider.with_batch_exporter(exporter);
    }
    let provider = provider.build();
    opentelemetry::global::set_tracer_provider(provider.clone());
    Ok(provider)
}
