//! The user service and its operator's commands.

use std::io::Read as _;
use std::path::PathBuf;

use chassis::{Listeners, health, settings, shutdown, telemetry};
use clap::{Parser, Subcommand};
use events::operator::Operation;
use user::Config;

const PORT: u16 = 9001;

/// Accounts, sessions and addresses of CloudRetail.
///
/// Besides the commands below, `create-keys --out FILE` makes the keys of `--signing-keys`; it
/// needs no settings.
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
    /// Make a staff account; its password comes on standard input.
    CreateStaff {
        #[arg(long)]
        email: String,
        #[arg(long, default_value = "Staff")]
        name: String,
    },
    /// Make the staff account that a JSON file has as `email` and `password`, unless it is there.
    EnsureStaff { file: PathBuf },
}

#[derive(Parser)]
#[command(name = "user create-keys")]
struct CreateKeys {
    /// The file to make.
    #[arg(long)]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments
        .peek()
        .is_some_and(|command| command == "create-keys")
    {
        return user::create_keys(&CreateKeys::parse_from(arguments).out);
    }
    let Cli { command, config } = settings::parse("USER");
    let _telemetry = telemetry::init(user::SERVICE, &config.chassis)?;
    match command.unwrap_or_default() {
        Command::Serve => {
            let listeners = Listeners::bind(&config.chassis, PORT).await?;
            user::serve(config, listeners, shutdown::on_signal()?).await
        }
        Command::Health => health::check(&config.chassis, PORT).await,
        Command::Operate(operation) => user::operate(&config, &operation).await,
        Command::CreateStaff { email, name } => {
            let mut password = String::new();
            std::io::stdin().read_to_string(&mut password)?;
            let password = password.trim_end_matches(['\r', '\n']);
            user::create_staff(&config, &email, &name, password).await
        }
        Command::EnsureStaff { file } => user::ensure_staff(&config, &file).await,
    }
}
