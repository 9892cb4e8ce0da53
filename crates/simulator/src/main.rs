use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
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
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Say by the exit code whether the simulator that listens there is healthy.
    Health,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if let Some(Command::Health) = cli.command {
        return tokio::time::timeout(Duration::from_secs(2), simulator::health(cli.listen)).await?;
    }
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
