//! The payment service and its operator's commands.

use chassis::{Listeners, health, settings, shutdown, telemetry};
use clap::{Parser, Subcommand};
use events::operator::Operation;
use payment::Config;

const PORT: u16 = 9005;

/// Payments through a provider, and their ledger.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    config: Config,
}

#[derive(Default, Subcommand)]
enum Command {
    /// Answer calls until told to stop; the default.
    #[default]
    Serve,
    /// Say by the exit code whether the service that runs with these settings is ready.
    Health,
    #[command(flatten)]
    Operate(Operation),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { command, config } = settings::parse("PAYMENT");
    let _telemetry = telemetry::init(payment::SERVICE, &config.chassis)?;
    match command.unwrap_or_default() {
        Command::Serve => {
            let listeners = Listeners::bind(&config.chassis, PORT).await?;
            payment::serve(config, listeners, shutdown::on_signal()?).await
        }
        Command::Health => health::check(&config.chassis, PORT).await,
        Command::Operate(operation) => payment::operate(&config, &operation).await,
    }
}
