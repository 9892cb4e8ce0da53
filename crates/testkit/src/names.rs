//! Names on the shared servers that tell whose they are, so that the next test can clean up.

use anyhow::Context;
use devstack::platform::Names;
use devstack::process::Process;

/// Names of this process; `of` sets apart what one process has several of.
pub(crate) fn own(of: &str) -> anyhow::Result<Names> {
    let this = Process::running(std::process::id().cast_signed()).context("no /proc")?;
    let owner = format!("{of}t{}", this.tag());
    Ok(Names {
        database_suffix: format!("_{owner}"),
        prefix: format!("{owner}."),
    })
}

/// Whether a database, or a topic's prefix, belongs to a process that has ended.
pub(crate) fn is_abandoned(name: &str) -> bool {
    let owner = name
        .rsplit_once('t')
        .and_then(|(_, tag)| Process::from_tag(tag));
    owner.is_some_and(|owner| !owner.is_alive())
}

/// As [`is_abandoned`], of a topic.
pub(crate) fn is_abandoned_topic(topic: &str) -> bool {
    topic
        .split_once('.')
        .is_some_and(|(prefix, _)| is_abandoned(prefix))
}
