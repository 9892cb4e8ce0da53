//! The commands that keep the past, and go back to it.

use std::time::Duration;

use anyhow::bail;
use devstack::home::Home;
use devstack::restore::{self, Moment, Request, Restored};
use devstack::{backup, state};

use super::up::line;

/// How `restore` is called.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Restore {
    /// The moment, as in RFC 3339 (2026-11-27T18:30:00Z), or `latest`
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,
    /// End the last restore: give back the money of orders that are no more, delete what it replaced
    #[arg(long)]
    finish: bool,
}

pub(super) async fn backup(home: &Home) -> anyhow::Result<()> {
    let platform = state::running(home)?;
    let made = backup::make(&platform).await?;
    println!(
        "{}: {} MiB in {:.1} s, verified",
        made.backup.folder.display(),
        made.backup.bytes >> 20,
        made.took.as_secs_f64()
    );
    if made.dropped > 0 {
        println!("older backups deleted: {}", made.dropped);
    }
    let ended_at = made.backup.ended_at;
    println!("every moment from {ended_at:.3} on can be restored: devstack restore --at <time>");
    Ok(())
}

pub(super) async fn restore(home: &Home, how: &Restore) -> anyhow::Result<()> {
    let Some(moment) = how.at else {
        return finish(home).await;
    };
    let devstack = std::env::current_exe()?;
    let restored = restore::restore(&devstack, home, &Request::to(moment), |step| {
        line(&step.name, step.took);
    })
    .await?;
    tell(home, &restored);
    if !restored.findings.is_empty() {
        bail!("{} checks failed", restored.findings.len());
    }
    Ok(())
}

fn tell(home: &Home, restored: &Restored) {
    let seconds = |took: Duration| took.as_secs_f64();
    println!(
        "\nall shards are as they were at {}, from the backup of {}",
        restored.at, restored.from
    );
    println!(
        "closed for {:.1} s, checked after {:.1} s",
        seconds(restored.closed),
        seconds(restored.took)
    );
    for (kind, count) in &restored.undone {
        println!("undone: {count} {kind}");
    }
    for finding in &restored.findings {
        println!("{finding}");
    }
    if restored.findings.is_empty() {
        println!("orders, stock, money and events agree");
    }
    if restored.strangers > 0 {
        println!(
            "the provider has money of {} orders that are no more",
            restored.strangers
        );
    }
    println!(
        "the old data is in {}; to give that money back and delete the old data: devstack restore --finish",
        home.before_restore().display()
    );
}

async fn finish(home: &Home) -> anyhow::Result<()> {
    let platform = state::running(home)?;
    let given = restore::finish(&platform).await?;
    for (currency, minor_units) in &given.minor_units {
        println!("given back: {minor_units} minor units of {currency}");
    }
    println!(
        "{} charges given back, the old data is deleted",
        given.charges
    );
    Ok(())
}
