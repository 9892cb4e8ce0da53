//! The commands.

mod images;
mod inspect;
mod past;
mod proof;
mod up;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use devstack::home::Home;
use devstack::jaeger::JaegerPorts;
use devstack::platform::workspace;
use devstack::ports::parse_override;
use devstack::service::{Service, Shard};
use devstack::supervisor::{self, Options};
use devstack::{launch, state};
use types::OrderId;

/// The whole platform on one machine, without containers
#[derive(Parser)]
#[command(name = "devstack")]
pub(crate) struct Cli {
    /// Where its state is; default: .devstack in the checkout
    #[arg(long, env = "DEVSTACK_HOME", global = true)]
    home: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything that does not run yet, and walk an order through it
    Up(Start),
    /// Stop everything; data stays
    Down,
    /// Stop everything and remove all data
    Reset,
    /// What runs, where, and how much memory it takes
    Status,
    /// The end of a log, or of all
    Logs {
        /// Like order, kafka, postgres-a-replica, supervisor
        name: Option<String>,
        /// Go on as it grows
        #[arg(long, short)]
        follow: bool,
    },
    /// Open psql on a service's database, as the owner of its tables
    Psql {
        service: Service,
        shard: Shard,
        /// Read from the replica
        #[arg(long)]
        replica: bool,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run a service's own command with its settings, like `order shards list`
    Run {
        service: Service,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Kill a shard's primary, let its replica take its place, and copy a new replica from it
    Promote { shard: Shard },
    /// Kill one process, and leave it dead until `start`
    Stop { name: String },
    /// Start again what `stop` ended
    Start { name: String },
    /// Tell a service to end, and wait until its successor is ready
    Restart { service: Service },
    /// Walk new customers through the shop, and check that every part agrees on their orders
    Order {
        #[arg(long, default_value_t = 1)]
        count: usize,
        /// How they pay, see crates/simulator/README.md
        #[arg(long, default_value = "tok_ok")]
        token: String,
    },
    /// Rows, replication and reads, and whether all shards and the provider agree
    Verify,
    /// An order's trace, from the request to the last consumer
    Trace { order_id: OrderId },
    /// Copy every shard, and keep its log from now on
    Backup,
    /// Bring every shard back to one moment, and check what came back
    Restore(past::Restore),
    /// Build and start Jaeger, and send it every trace from now on
    Jaeger(JaegerPorts),
    /// Pack the container images of the services
    Images(Images),
    /// The servers that tests share
    #[command(subcommand)]
    TestServers(TestServers),
    /// Hold all processes in the background: what `up` starts
    #[command(hide = true)]
    Supervise {
        #[arg(long)]
        options: String,
    },
    /// When the standard input closes, end the processes recorded in this home and remove it
    #[command(hide = true)]
    Reap,
}

/// How `up` starts a platform that does not run yet.
#[derive(clap::Args)]
struct Start {
    /// The public ports, or free ones that `status` tells
    #[arg(long, env = "DEVSTACK_PORTS", default_value = "default")]
    ports: PortChoice,
    /// Move one port: gateway=8081, kafka=9192, postgres-a=6433
    #[arg(long = "port", env = "DEVSTACK_PORT", value_delimiter = ',', value_parser = parse_override)]
    overrides: Vec<(String, u16)>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum PortChoice {
    Default,
    Free,
}

/// Where images come from.
#[derive(clap::Args)]
struct Images {
    /// The folder of release binaries; default: where devstack itself lies
    #[arg(long)]
    binaries: Option<PathBuf>,
    /// Instead, make stand-ins for the images of others that cannot be pulled
    #[arg(long, conflicts_with = "binaries")]
    stand_ins: bool,
}

#[derive(Subcommand)]
enum TestServers {
    /// Start them, or find them running
    Start,
    /// Stop them and remove their data
    Stop,
}

impl Cli {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let root = self.home.unwrap_or_else(|| workspace().join(".devstack"));
        let home = Home::open(&root)?;
        match self.command {
            Command::Up(start) => up::run(&home, &start).await,
            Command::Down => launch::stop(&home).await,
            Command::Reset => {
                launch::stop(&home).await?;
                Ok(home.remove()?)
            }
            Command::Status => inspect::status(&home),
            Command::Logs { name, follow } => inspect::logs(&home, name.as_deref(), follow),
            Command::Psql {
                service,
                shard,
                replica,
                arguments,
            } => inspect::psql(&home, service, shard, replica, &arguments),
            Command::Run { service, command } => inspect::run(&home, service, &command),
            Command::Promote { shard } => proof::promote(&home, shard).await,
            Command::Order { count, token } => proof::order(&home, count, token).await,
            Command::Verify => proof::verify(&home).await,
            Command::Trace { order_id } => proof::trace(&home, order_id).await,
            Command::Backup => past::backup(&home).await,
            Command::Restore(restore) => past::restore(&home, &restore).await,
            Command::Jaeger(ports) => proof::jaeger(&home, ports).await,
            Command::Images(Images {
                binaries,
                stand_ins,
            }) => images::run(binaries, stand_ins).await,
            Command::Stop { name } => {
                let platform = state::running(&home)?;
                platform.hold(&name)?;
                platform.kill(&name).await
            }
            Command::Start { name } => Ok(state::running(&home)?.release(&name)?),
            Command::Restart { service } => state::running(&home)?.replace(service).await,
            Command::Supervise { options } => {
                supervisor::supervise(home, serde_json::from_str(&options)?).await
            }
            Command::Reap => reap(&home).await,
            Command::TestServers(TestServers::Start) => {
                up::start(&home, &Options::for_tests()).await?;
                Ok(())
            }
            Command::TestServers(TestServers::Stop) => {
                launch::stop(&home).await?;
                Ok(home.remove()?)
            }
        }
    }
}

async fn reap(home: &Home) -> anyhow::Result<()> {
    // Control-C ends the test, and must not end what cleans up behind it.
    let _ = rustix::process::setsid();
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
    launch::stop(home).await?;
    Ok(home.remove()?)
}
