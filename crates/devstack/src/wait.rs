//! Waiting for servers, with a limit.

use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{Instant, sleep};

/// For a server to be ready: many times what it needs on a machine that does nothing else.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Tries `probe` until it succeeds; after `limit` the last failure is the answer.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    probe: impl AsyncFn() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let give_up_at = Instant::now() + limit;
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= give_up_at => {
                return Err(anyhow!("{what} was not ready within {limit:?}: {error:#}"));
            }
            Err(_) => sleep(POLL).await,
        }
    }
}
