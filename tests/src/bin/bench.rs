//! `make bench`: how far the program is from the least that its work costs.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a command line"
)]

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use clap::Parser;
use devstack::home::Home;
use devstack::service::Service;
use devstack::supervisor::Options;
use devstack::{launch, packages, services};
use reqwest::Url;
use testkit::Reaper;
use tests::pairs::footprint::{self, Footprint};
use tests::pairs::{Effort, Pair, cached_read, checkout, reference};

const EFFORT: Effort = Effort {
    rounds: 5,
    requests: 40_000,
    orders: 256,
    reference_seconds: 4,
};

const STARTS: usize = 5;

/// Measures a platform of its own, with fsync, and prints ratios
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Give the answer of this URL, from memory
    #[command(hide = true)]
    Reference { listen: SocketAddr, url: Url },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Some(Command::Reference { listen, url }) => reference::serve(listen, url).await,
        None => run().await,
    }
}

async fn run() -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures mean nothing");
    }
    packages::install().await?;
    let devstack = services::binary("devstack")?;
    let target = devstack.ancestors().nth(2).context("no target folder")?;
    let home = Home::open(&target.join(format!("bench-{}", std::process::id())))?;
    // Also after control-C.
    let _reaper = Reaper::watch(&devstack, &home)?;
    let measured = measure(&devstack, &home).await;
    launch::stop(&home).await?;
    measured
}

async fn measure(devstack: &Path, home: &Home) -> anyhow::Result<()> {
    let platform = launch::start(devstack, home, &Options::whole(None), |_| {}).await?;
    let fresh = footprint::idle_memory(&platform).await?;
    println!("{}\n\n{}", conditions()?, Pair::HEAD);
    println!("{}", cached_read::measure(&platform, &EFFORT).await?);
    println!("{}", checkout::measure(&platform, &EFFORT).await?);
    let worked = footprint::idle_memory(&platform).await?;
    println!("\n{}", Footprint::HEAD);
    for ((service, fresh), worked) in Service::ALL.into_iter().zip(fresh).zip(worked) {
        let ready = match service {
            Service::Gateway => None,
            _ => Some(footprint::time_to_ready(&platform, service, STARTS).await?),
        };
        let footprint = Footprint {
            service,
            fresh,
            worked,
            ready,
        };
        println!("{footprint}");
    }
    Ok(())
}

fn conditions() -> anyhow::Result<String> {
    Ok(format!(
        "{} processors, shared with the clients; fsync on, each commit waits for a replica;\n\
         {} of the reads and all checkouts are traced",
        std::thread::available_parallelism()?,
        cached_read::TRACE_RATIO,
    ))
}
