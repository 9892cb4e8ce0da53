//! `up`: from nothing to the receipt of an order.

use std::time::{Duration, Instant};

use devstack::home::Home;
use devstack::platform::Platform;
use devstack::ports::Ports;
use devstack::supervisor::Options;
use devstack::{catalogue, launch, packages, staff, walk};
use indicatif::ProgressBar;

use super::{PortChoice, Start};

pub(super) async fn run(home: &Home, how: &Start) -> anyhow::Result<()> {
    let begun = Instant::now();
    step("packages", packages::install()).await?;
    let platform = start(home, &Options::whole(ports(how)?)).await?;
    step("staff account", staff::create(&platform)).await?;
    step("catalogue", catalogue::load(&platform)).await?;
    let receipt = step("order", walk::run(&platform, &walk::Options::default())).await?;
    println!(
        "\n{receipt}\nup after {:.1} s\n\n{}",
        begun.elapsed().as_secs_f64(),
        receipt.next_steps(&platform)
    );
    Ok(())
}

/// Starts the supervisor and shows what it does.
pub(super) async fn start(home: &Home, options: &Options) -> anyhow::Result<Platform> {
    let bar = spinner("starting");
    let devstack = std::env::current_exe()?;
    let platform = launch::start(&devstack, home, options, |step| {
        bar.suspend(|| line(&step.name, step.took));
    })
    .await;
    bar.finish_and_clear();
    platform
}

/// `None`: free ones.
fn ports(how: &Start) -> anyhow::Result<Option<Ports>> {
    let PortChoice::Default = how.ports else {
        return Ok(None);
    };
    let mut ports = Ports::fixed();
    for (name, port) in &how.overrides {
        ports.set(name, *port)?;
    }
    Ok(Some(ports))
}

async fn step<T>(
    name: &'static str,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    let bar = spinner(name);
    let value = work.await;
    bar.finish_and_clear();
    if value.is_ok() {
        line(name, begun.elapsed());
    }
    value
}

/// Silent where there is no terminal.
fn spinner(name: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(name);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

pub(super) fn line(name: &str, took: Duration) {
    println!("{name:<14} {:>6.1} s", took.as_secs_f64());
}
