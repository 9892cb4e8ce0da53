use chassis::{Listeners, health, shutdown};
use clap::Parser;
use gateway::Config;

const PORT: u16 = 8080;

/// The public REST API of CloudRetail.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    config: Config,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Answer requests; the default.
    Serve,
    /// Say by the exit code whether the gateway that runs with these settings is ready.
    Health,
    /// Print the API's description (OpenAPI 3.1).
    Openapi,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { command, config } = chassis::settings::parse::<Cli>("GATEWAY");
    match command.unwrap_or(Command::Serve) {
        Command::Openapi => {
            use std::io::Write as _;
            let description = gateway::description().to_pretty_json()?;
            std::io::stdout().write_all(description.as_bytes())?;
            Ok(())
        }
        Command::Health => health::check(&config.chassis, PORT).await,
        Command::Serve => {
            let _telemetry = chassis::telemetry::init("gateway", &config.chassis)?;
            let listeners = Listeners::bind(&config.chassis, PORT).await?;
            gateway::serve(config, listeners, shutdown::on_signal()?).await
        }
    }
}
