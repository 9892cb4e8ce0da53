//! The product service: the catalogue and its search.

use chassis::{Listeners, settings, shutdown, telemetry};
use clap::Parser;
use product::Config;

const PORT: u16 = 9002;

#[derive(Debug, Parser)]
#[command(about = "The catalogue of CloudRetail")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    config: Config,
}

#[derive(Debug, Default, clap::Subcommand)]
enum Command {
    /// Answer calls until told to stop.
    #[default]
    Serve,
    /// Bring every shard's tables up to date.
    Migrate,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { command, config } = settings::parse("PRODUCT");
    let _telemetry = telemetry::init("product", &config.chassis)?;
    match command.unwrap_or_default() {
        Command::Migrate => product::migrate(config).await,
        Command::Serve => {
            let listeners = Listeners::bind(&config.chassis, PORT).await?;
            product::serve(config, listeners, shutdown::on_signal()?).await
        }
    }
}
