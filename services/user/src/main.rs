//! The user service and its operator's commands.

use std::io::Read as _;
use std::path::PathBuf;

use chassis::{Listeners, shutdown};
use clap::{Parser, Subcommand};
use events::dead_letters::Command as DeadLetters;
use user::Config;

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

#[derive(Subcommand)]
enum Command {
    /// Answer calls until SIGTERM; the default.
    Serve,
    /// Bring every shard to the newest schema.
    Migrate,
    /// Events whose effect failed.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Make a staff account; its password comes on standard input.
    CreateStaff {
        #[arg(long)]
        email: String,
        #[arg(long, default_value = "Staff")]
        name: String,
    },
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
    let Cli { command, config } = chassis::settings::parse("USER");
    let _telemetry = chassis::telemetry::init(user::NAME, &config.chassis)?;
    match command.unwrap_or(Command::Serve) {
        Command::Serve => {
            let listeners = Listeners::bind(&config.chassis, 9001).await?;
            user::serve(config, listeners, shutdown::on_signal()?).await
        }
        Command::Migrate => user::migrate(&config).await,
        Command::DeadLetters(command) => {
            show(&user::dead_letters(&config, &command).await?);
            Ok(())
        }
        Command::CreateStaff { email, name } => {
            let mut password = String::new();
            std::io::stdin().read_to_string(&mut password)?;
            let password = password.trim_end_matches(['\r', '\n']);
            user::create_staff(&config, &email, &name, password).await
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is what the operator asked for")]
fn show(text: &str) {
    println!("{text}");
}
