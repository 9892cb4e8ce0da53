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
