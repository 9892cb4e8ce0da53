#![doc = include_str!("../README.md")]

mod http;
mod journal;
mod provider;
mod token;

use std::{net::SocketAddr, path::Path, sync::Mutex};

use anyhow::ensure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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

/// Good when the simulator that listens there is healthy.
///
/// # Errors
///
/// When it does not say so.
pub async fn health(address: SocketAddr) -> anyhow::Result<()> {
    let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{address}: {answer}");
    Ok(())
}
