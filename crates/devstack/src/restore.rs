//! Bringing every shard back to one moment, and what is outside PostgreSQL with it.

pub mod events;
mod moment;
mod outside;
mod recovery;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::future::{join_all, try_join_all};
use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use crate::backup::{Backup, archive};
use crate::home::Home;
use crate::platform::Platform;
use crate::ports::Ports;
use crate::restore::events::Undone;
pub use crate::restore::moment::Moment;
pub use crate::restore::outside::GivenBack;
use crate::service::Shard;
use crate::state::{self, Step};
use crate::supervisor::Options;
use crate::verify::{self, Charge, Finding};
use crate::{backup, launch, postgres};

/// A primary that takes longer to commit is as good as dead.
const MARK_LIMIT: Duration = Duration::from_secs(5);
const SETTLE_POLL: Duration = Duration::from_secs(2);

/// A platform at the moment that was asked for.
#[derive(Debug)]
pub struct Restored {
    pub platform: Platform,
    pub at: Timestamp,
    /// When the backup that it began with ended.
    pub from: Timestamp,
    /// How long the shop was closed.
    pub closed: Duration,
    /// Until the checker had seen it.
    pub took: Duration,
    pub undone: Undone,
    /// Money at the provider for orders that were placed after the moment.
    pub strangers: usize,
    /// What else does not agree.
    pub findings: Vec<Finding>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub moment: Moment,
    /// How far before it shard b is brought: none, but where a test wants to see that found.
    pub apart: Duration,
    /// How long what was under way at the moment may take until everything agrees.
    pub patience: Duration,
}

impl Request {
    pub fn to(moment: Moment) -> Self {
        Self {
            moment,
            apart: Duration::ZERO,
            patience: Duration::from_secs(60),
        }
    }
}

/// What to restore.
#[derive(Debug)]
struct Plan {
    backup: Backup,
    at: [Timestamp; Shard::ALL.len()],
}

/// Brings all shards back to one moment, starts everything and lets the checker look at it.
///
/// `devstack` is that program's path.
///
/// # Errors
///
/// Before anything is stopped: when the moment cannot be restored. Later: when a shard cannot be
/// recovered; then the platform goes on with the data that it had.
pub async fn restore(
    devstack: &Path,
    home: &Home,
    request: &Request,
    mut on_step: impl FnMut(&Step),
) -> anyhow::Result<Restored> {
    let begun = Instant::now();
    let backups = backup::list(home)?;
    let (at, backup) = request.moment.choose(&backups, Timestamp::now())?;
    let plan = Plan {
        backup,
        at: [at, at - request.apart],
    };
    let kept = home.before_restore();
    if kept.exists() {
        bail!(
            "{} is still what the last restore replaced; when that is no longer needed: devstack restore --finish",
            kept.display()
        );
    }
    let options = Options::last(home)?;
    let was_running = mark_end(home).await;
    if !was_running && request.moment == Moment::Latest {
        bail!("--at latest is for a platform that runs; start it with: make up, or name a time");
    }
    let mut step = |name: &str, since: Instant| {
        on_step(&Step {
            name: name.to_owned(),
            took: since.elapsed(),
        });
    };
    let closed = Instant::now();
    launch::stop(home).await?;
    step("stopped", closed);
    let recovering = Instant::now();
    if let Err(error) = recover(home, &options, &plan).await {
        let _ = fs::remove_dir_all(home.restoring());
        if was_running {
            launch::start(devstack, home, &options, |_| {}).await?;
        }
        return Err(error.context("nothing was restored, and the data is as it was"));
    }
    swap(home, at)?;
    step("shards recovered", recovering);
    let platform = launch::start(devstack, home, &options, on_step).await?;
    let closed = closed.elapsed();
    let (strangers, findings) = settle(&platform, request.patience).await?;
    Ok(Restored {
        undone: events::undone(home),
        platform,
        at,
        from: plan.backup.ended_at,
        closed,
        took: begun.elapsed(),
        strangers,
        findings,
    })
}

/// Makes every shard's log reach beyond now, where it can be written to: a shard that nobody wrote
/// to since the moment would seem to lack its end. Says whether the platform runs.
async fn mark_end(home: &Home) -> bool {
    let Ok(platform) = state::running(home) else {
        return false;
    };
    let marks = Shard::ALL.map(|shard| archive::mark(&platform, shard));
    let _ = timeout(MARK_LIMIT, try_join_all(marks)).await;
    true
}

/// Makes the restored folders beside those that are in use.
async fn recover(home: &Home, options: &Options, plan: &Plan) -> anyhow::Result<()> {
    let folder = home.restoring();
    postgres::create_folder(&folder).await?;
    // Nobody knows these ports: no client comes before its time.
    let (ports, _block) = Ports::free()?;
    let platform = Platform::new(home.clone(), ports);
    let shards = Shard::ALL.into_iter().zip(plan.at).map(|(shard, at)| {
        let recovered = recovery::recover(
            &platform,
            options.durability,
            &plan.backup,
            shard,
            at,
            &folder,
        );
        async move {
            let recovered = recovered.await;
            recovered.with_context(|| format!("shard {shard} cannot be brought to {at}"))
        }
    });
    // All end by themselves: none is left behind when another one fails.
    join_all(shards).await.into_iter().collect()
}

/// From here on the restored data counts; the old stays aside.
fn swap(home: &Home, at: Timestamp) -> anyhow::Result<()> {
    events::expect_undo(&home.restoring(), at)?;
    if home.postgres().exists() {
        fs::rename(home.postgres(), home.before_restore())?;
    } else {
        // All is lost, and nothing to be kept aside.
        fs::create_dir(home.before_restore())?;
    }
    fs::rename(home.restoring(), home.postgres())?;
    // Backups of the time that is undone lead to no moment any more.
    for backup in backup::list(home)? {
        if backup.ended_at > at {
            fs::rename(&backup.folder, backup.folder.with_extension("undone"))?;
        }
    }
    Ok(())
}

/// Waits until everything agrees, but for money of orders that are no more: how many those are,
/// and what else does not agree in the end.
async fn settle(platform: &Platform, patience: Duration) -> anyhow::Result<(usize, Vec<Finding>)> {
    let give_up_at = Instant::now() + patience;
    let mut last = Vec::new();
    loop {
        let strangers = verify::strangers(platform).await?;
        let mut findings = verify::check(platform, 0).await?;
        // Their money alone: goods that are kept for them say that the shards are of two moments.
        findings.retain(|finding| {
            let order = finding.order_id.map(|id| id.to_string());
            let is_stranger = |charge: &Charge| Some(&charge.reference) == order.as_ref();
            finding.invariant != "C9" || !strangers.iter().any(is_stranger)
        });
        // Money that rests in another place than the books say is moved by nobody but people.
        let at_rest = findings.iter().all(|finding| finding.invariant == "C9") && findings == last;
        if findings.is_empty() || at_rest || Instant::now() >= give_up_at {
            return Ok((strangers.len(), findings));
        }
        last = findings;
        sleep(SETTLE_POLL).await;
    }
}

/// Ends a restore that was found good: gives back the money of orders that are no more, and deletes
/// what was kept aside.
///
/// # Errors
///
/// When the platform does not run, or money could not be given back: then nothing was deleted.
pub async fn finish(platform: &Platform) -> anyhow::Result<GivenBack> {
    let home = &platform.home;
    if !home.before_restore().exists() {
        bail!("no restore waits for its end");
    }
    let given = outside::give_back(platform).await?;
    fs::remove_dir_all(home.before_restore())?;
    Ok(given)
}
