//! What tests need on top of [`devstack`]: shared servers, and databases and topics of their own.
//!
//! One set of PostgreSQL pairs, Redis and Kafka serves every test binary. `make test` starts it
//! beforehand; a lone `cargo test` starts it on first use, and it stops itself when idle. A binary
//! gets its own databases, Redis and topics from [`fixture`].

mod build;
mod fixture;
mod names;
mod reaper;
mod servers;
mod system;
mod template;

use std::net::SocketAddr;
use std::time::Duration;

pub use devstack::platform::{Databases, Platform};
pub use devstack::service::{Service, Shard};
pub use fixture::{Fixture, fixture};
pub use reaper::Reaper;
pub use servers::servers;
pub use system::{Setting, System};

use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(20);

/// Waits for `condition` to have a value.
///
/// # Panics
/// When it has none within `limit`.
pub async fn eventually<T>(limit: Duration, condition: impl AsyncFn() -> Option<T>) -> T {
    let give_up_at = Instant::now() + limit;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            Instant::now() < give_up_at,
            "it did not happen within {limit:?}"
        );
        sleep(POLL).await;
    }
}

/// The sum over all series of a process's metric that have these labels; 0 without any.
///
/// # Panics
/// When the process does not answer.
pub async fn metric(admin: SocketAddr, name: &str, labels: &[&str]) -> f64 {
    let answer = reqwest::get(format!("http://{admin}/metrics")).await;
    let text = async { answer?.text().await }.await;
    let text = text.unwrap_or_else(|error| panic!("no metrics: {error}"));
    text.lines()
        .filter_map(|line| {
            let (series, value) = line.split(" # ").next()?.rsplit_once(' ')?;
            let of = series.strip_prefix(name)?;
            let labelled = labels.iter().all(|label| of.contains(label));
            (labelled && (of.is_empty() || of.starts_with('{')))
                .then(|| value.parse::<f64>().ok())?
        })
        .sum()
}
