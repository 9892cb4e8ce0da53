//! `planner`: from a measured run to pods, shards, money and the chart's values.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a command line"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use planner::measure::{self, Run};
use planner::overlay::Overlay;
use planner::{Capacity, Plan, Service, Values, check, report};

/// From a measured run to pods, shards, money and the chart's values.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the measured part of a capacity file from the Prometheus that watched a run.
    Measure {
        /// The capacity file, whose other parts stay.
        capacity: PathBuf,
        #[command(flatten)]
        run: Run,
    },
    /// Print values for what was measured; with --out, write `values.yaml` and `report.html`.
    Plan {
        #[command(flatten)]
        input: Input,
        /// The folder to write to.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Fail where values contradict what was measured.
    Check {
        #[command(flatten)]
        input: Input,
    },
}

#[derive(Args)]
struct Input {
    /// The capacity file.
    capacity: PathBuf,
    /// The chart, whose own values lie under all others.
    #[arg(long, default_value = "helm/cloudretail")]
    chart: PathBuf,
    /// A values file; may be repeated, later ones win.
    #[arg(long)]
    values: Vec<PathBuf>,
}

impl Input {
    fn read(&self) -> anyhow::Result<(Capacity, Values)> {
        Ok((
            Capacity::read(&self.capacity)?,
            Values::read(&self.chart, &self.values)?,
        ))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Measure { capacity, run } => measure_into(&capacity, &run).await,
        Command::Plan { input, out } => plan(&input, out.as_deref()),
        Command::Check { input } => check(&input),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("planner: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure_into(file: &Path, run: &Run) -> anyhow::Result<()> {
    let capacity = Capacity::read(file)?;
    let measured = measure::measure(run).await?;
    for (service, knee) in &measured.services {
        let (rate, p95) = (knee.requests_per_second, knee.p95_ms);
        let at_least = if knee.is_limit { "" } else { "at least " };
        println!("{service}: {at_least}{rate:.1} requests/s a pod, p95 {p95:.0} ms");
    }
    for service in Service::ALL {
        if !measured.services.contains_key(&service) {
            println!("{service}: no requests, not measured");
        }
    }
    let capacity = Capacity {
        measured: Some(measured),
        ..capacity
    }
    .checked()?;
    write(file, &(serde_json::to_string_pretty(&capacity)? + "\n"))
}

fn plan(input: &Input, out: Option<&Path>) -> anyhow::Result<()> {
    let (capacity, values) = input.read()?;
    let plan = Plan::new(&capacity, &values)?;
    let yaml = Overlay::new(&capacity, &plan).to_yaml()?;
    let found = check::contradictions(&capacity, &values)?;
    let page = report::render(&capacity, &plan, &values, &found)?;
    let Some(out) = out else {
        print!("{yaml}");
        return Ok(());
    };
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    for (name, text) in [("values.yaml", &yaml), ("report.html", &page)] {
        write(&out.join(name), text)?;
        println!("{}", out.join(name).display());
    }
    Ok(())
}

fn check(input: &Input) -> anyhow::Result<()> {
    let (capacity, values) = input.read()?;
    let found = check::contradictions(&capacity, &values)?;
    if !found.is_empty() {
        bail!(
            "the values contradict the measurement:\n  {}",
            found.join("\n  ")
        );
    }
    println!("the values agree with the measurement");
    Ok(())
}

/// Whole or not at all.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let draft = file.with_extension("draft");
    fs::write(&draft, text).with_context(|| draft.display().to_string())?;
    fs::rename(&draft, file).with_context(|| file.display().to_string())
}
