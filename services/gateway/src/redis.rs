//! The gateway's Redis. It may be away at any moment: nobody waits for it, and everybody has an
//! answer without it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use fred::clients::Client;
use fred::prelude::{Builder, ClientLike as _};
use fred::types::config::{Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

const COMMAND_TIMEOUT: Duration = Duration::from_millis(50);

/// After a failure nobody asks for this long.
const REST: Duration = Duration::from_millis(500);

const COMMANDS_WAITING_MAX: usize = 10_000;

/// Redis is away, or was a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

pub struct Redis {
    client: Client,
    started: Instant,
    /// Milliseconds after `started` until which nobody asks.
    rests_until: AtomicU64,
}

impl Redis {
    /// Connects in the background, again and again.
    pub fn start(url: &SecretString) -> anyhow::Result<Self> {
        let mut config = Config::from_url(url.expose_secret()).context("--redis-url")?;
        config.fail_fast = true;
        let client = Builder::from_config(config)
            .with_performance_config(|performance: &mut PerformanceConfig| {
                performance.default_command_timeout = COMMAND_TIMEOUT;
            })
            .with_connection_config(|connection: &mut ConnectionConfig| {
                connection.max_command_attempts = 1;
                connection.max_command_buffer_len = COMMANDS_WAITING_MAX;
            })
            .set_policy(ReconnectPolicy::new_constant(0, 200))
            .build()?;
        // The task goes on without its handle, as long as the client lives.
        drop(client.connect());
        Ok(Self {
            client,
            started: Instant::now(),
            rests_until: AtomicU64::new(0),
        })
    }

    /// Nobody asks at the moment.
    pub fn is_away(&self) -> bool {
        self.now() < self.rests_until.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Runs a command, unless Redis was away a moment ago.
    pub async fn run<T>(
        &self,
        command: impl AsyncFnOnce(&Client) -> Result<T, fred::error::Error>,
    ) -> Result<T, Away> {
        if self.is_away() {
            return Err(Away);
        }
        let now = self.now();
        command(&self.client).await.map_err(|error| {
            let rest = now + REST.as_millis() as u64;
            if self.rests_until.fetch_max(rest, Ordering::Relaxed) < now {
                tracing::warn!(%error, "Redis is away");
            }
            Away
        })
    }
}
