use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// The payment provider of local runs.
#[derive(Parser)]
struct Cli {
    /// The address to serve on.
    #[arg(long, env = "SIMULATOR_LISTEN", default_value = "127.0.0.1:9010")]
    listen: SocketAddr,
    /// The file that remembers every operation; without it a restart forgets them.
    #[arg(long, env = "SIMULATOR_STATE")]
    state: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    tracing_subscriber::fmt().init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(cli.listen).await?;
    simulator::serve(listener, cli.state.as_deref(), async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}
