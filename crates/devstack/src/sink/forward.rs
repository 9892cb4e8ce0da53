use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::program::report;

/// A receiver that is slower than this loses the export; the sink has it in any case.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends every export on, unchanged, to the endpoint that a file names.
///
/// The file is read again for each export, so that an endpoint is set without a restart.
pub(crate) struct Forward {
    file: PathBuf,
    target: Mutex<Option<Target>>,
}

#[derive(Clone)]
struct Target {
    endpoint: String,
    client: TraceServiceClient<Channel>,
    /// Said once, not for every export.
    is_failing: Arc<AtomicBool>,
}

impl Forward {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self {
            file,
            target: Mutex::new(None),
        }
    }

    /// A receiver that is away costs a warning, never an error to the exporting service.
    pub(crate) async fn send(&self, export: ExportTraceServiceRequest) {
        let Some(mut target) = self.target() else {
            return;
        };
        let sent = target.client.export(export).await;
        let was_failing = target.is_failing.swap(sent.is_err(), Ordering::Relaxed);
        if let Err(status) = sent
            && !was_failing
        {
            let endpoint = &target.endpoint;
            report(&format!("traces were not sent on to {endpoint}: {status}"));
        }
    }

    fn target(&self) -> Option<Target> {
        let endpoint = fs::read_to_string(&self.file).ok()?.trim().to_owned();
        let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        if target
            .as_ref()
            .is_none_or(|known| known.endpoint != endpoint)
        {
            *target = match Endpoint::from_shared(endpoint.clone()) {
                Ok(address) => Some(Target {
                    client: TraceServiceClient::new(address.timeout(SEND_TIMEOUT).connect_lazy()),
                    endpoint,
                    is_failing: Arc::default(),
                }),
                Err(error) => {
                    report(&format!("traces are not sent on to {endpoint:?}: {error}"));
                    None
                }
            };
        }
        target.clone()
    }
}
