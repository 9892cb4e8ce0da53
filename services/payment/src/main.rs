//! The payment service and its operator's commands.

use chassis::{Listeners, settings, shutdown, telemetry};
use clap::{Parser, Subcommand};
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
    /// Answer calls until told to stop.
    #[default]
    Serve,
    /// Bring every shard's tables up to date.
    Migrate,
    /// The databases behind the service.
    #[command(subcommand)]
    Shards(Shards),
}

#[derive(Subcommand)]
enum Shards {
    /// Show each with its slots and its replicas.
    List,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { command, config } = settings::parse("PAYMENT");
    let _telemetry = telemetry::init(payment::SERVICE, &config.chassis)?;
    match command.unwrap_or_default() {
        Command::Migrate => payment::migrate(config).await,
        Command::Shards(Shards::List) => {
            for shard in storage::shards::list(&config.storage).await? {
                show(&shard.to_string());
            }
            Ok(())
        }
        Command::Serve => {
            let listeners = Listeners::bind(&config.chassis, PORT).await?;
            payment::serve(config, listeners, shutdown::on_signal()?).await
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is what the operator asked for")]
fn show(text: &str) {
    println!("{text}");
}
