#![doc = include_str!("../README.md")]

mod http;
mod journal;
mod provider;
mod token;

use std::{path::Path, sync::Mutex};

use tokio::net::TcpListener;

use crate::{journal::Journal, provider::Provider};

/// What one simulator knows, and where it is written down.
struct Memory {
    provider: Provider,
    journal: Option<Journal>,
}

/// Serves until `shutdown` is ready. Calls that hang on purpose are cut off then.
///
/// # Errors
///
/// When the state file cannot be read or written.
pub async fn serve(
    listener: TcpListener,
    state: Option<&Path>,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let mut provider = Provider::default();
    let journal = match state {
        Some(path) => {
            let (journal, records) = Journal::open(path)?;
            records
                .into_iter()
                .for_each(|record| provider.apply(record));
            Some(journal)
        }
        None => None,
    };
    tracing::info!(address = %listener.local_addr()?, "simulator is ready");
    let routes = http::routes(Mutex::new(Memory { provider, journal }));
    tokio::select! {
        served = async { axum::serve(listener, routes).await } => served?,
        () = shutdown => {}
    }
    Ok(())
}
