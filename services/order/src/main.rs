//! The order service and its operator's commands.

use chassis::{Listeners, settings, shutdown, telemetry};
use clap::{Parser, Subcommand};
use events::dead_letters::Command as DeadLetters;
use order::Config;

const PORT: u16 = 9003;

/// Carts, checkout and orders.
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
    /// Bring every shard's tables to this version.
    Migrate,
    /// The databases behind the service.
    #[command(subcommand)]
    Shards(Shards),
    /// Events whose effect failed.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
}

#[derive(Subcommand)]
enum Shards {
    /// Show each with its slots and its replicas.
    List,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { command, config } = settings::parse("ORDER");
    let _telemetry = telemetry::init(order::SERVICE, &config.chassis)?;
    match command.unwrap_or_default() {
        Command::Serve => {
            let listeners = Listeners::bind(&config.chassis, PORT).await?;
            order::serve(config, listeners, shutdown::on_signal()?).await
        }
        Command::Migrate => order::migrate(config).await,
        Command::Shards(Shards::List) => {
            for shard in storage::shards::list(&config.storage).await? {
                show(&shard.to_string());
            }
            Ok(())
        }
        Command::DeadLetters(command) => {
            show(&order::dead_letters(&config, &command).await?);
            Ok(())
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is what the operator asked for")]
fn show(text: &str) {
    println!("{text}");
}
