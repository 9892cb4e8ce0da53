use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chassis::Chassis;
use fred::clients::Client;
use fred::interfaces::{ClientLike as _, KeysInterface as _};
use fred::types::config::{Config, ReconnectPolicy};
use fred::types::scripts::Script;
use fred::types::{Builder, Value};
use tracing::{Instrument as _, Span};

use super::entry::Entry;
use super::metrics::{Layer, Metrics, Outcome};
use crate::Error;
use crate::config::RedisUrl;

const COMMAND_TIMEOUT: Duration = Duration::from_millis(50);

/// Commands on their way; beyond this they fail at once.
const COMMANDS_MAX: usize = 10_000;

/// Failures in a row after which Redis is left alone.
const FAILURES_MAX: u32 = 3;

/// How often it is tried whether Redis is back.
const RETRY_PERIOD: Duration = Duration::from_millis(250);

/// Invalidations kept for when Redis is back. What exceeds it lives to the end of its lifetime.
const MISSED_MAX: usize = 100_000;

/// The level in Redis, and the breaker before it.
///
/// While Redis is away it is as if empty. Before it is used again it is told every invalidation
/// that it missed, because a server that was merely out of reach comes back with what it had.
#[derive(Clone)]
pub(super) struct Redis {
    client: Client,
    fill: Script,
    invalidate: Script,
    breaker: Arc<Breaker>,
    metrics: Metrics,
}

#[derive(Default)]
struct Breaker {
    is_away: AtomicBool,
    failures: AtomicU32,
    /// The newest version that each key was to be invalidated with.
    missed: Mutex<HashMap<String, u64>>,
}

impl Redis {
    pub(super) async fn connect(
        chassis: &Chassis,
        url: &RedisUrl,
        metrics: &Metrics,
    ) -> Result<Self, Error> {
        let client = Builder::from_config(Config::from_url(url.expose())?)
            .with_performance_config(|performance| {
                performance.default_command_timeout = COMMAND_TIMEOUT;
            })
            .with_connection_config(|connection| {
                connection.connection_timeout = Duration::from_secs(1);
                connection.internal_command_timeout = Duration::from_secs(1);
                connection.max_command_attempts = 1;
                connection.max_command_buffer_len = COMMANDS_MAX;
            })
            .set_policy(ReconnectPolicy::new_constant(0, 200))
            .build()?;
        // It goes on trying in the background.
        drop(client.connect());
        let redis = Self {
            client,
            fill: Script::from_lua(include_str!("fill.lua")),
            invalidate: Script::from_lua(include_str!("invalidate.lua")),
            breaker: Arc::default(),
            metrics: metrics.clone(),
        };
        redis.leave_alone();
        redis.come_back().await;
        redis.watch(chassis);
        Ok(redis)
    }

    /// `None` also while Redis is away.
    pub(super) async fn get(&self, key: &str) -> Option<Entry> {
        if self.is_away() {
            return None;
        }
        let found = self
            .client
            .get::<Option<Bytes>, _>(key)
            .instrument(span("cache.get"));
        let found = self.note(found.await)?;
        self.count(found.and_then(Entry::decode))
    }

    /// One answer for each key, in one round trip.
    pub(super) async fn get_many(&self, keys: &[String]) -> Vec<Option<Entry>> {
        let nothing = || keys.iter().map(|_| None).collect();
        if self.is_away() || keys.is_empty() {
            return nothing();
        }
        let pipeline = self.client.pipeline();
        for key in keys {
            // It is queued only; the answer comes with the others.
            if pipeline.get::<Value, _>(key.as_str()).await.is_err() {
                return nothing();
            }
        }
        let found = pipeline
            .all::<Vec<Option<Bytes>>>()
            .instrument(span("cache.get"));
        match self.note(found.await) {
            Some(found) => found
                .into_iter()
                .map(|bytes| self.count(bytes.and_then(Entry::decode)))
                .collect(),
            None => nothing(),
        }
    }

    /// `false`: a newer version, or its tombstone, is there.
    pub(super) async fn fill(&self, key: String, entry: &Entry) -> bool {
        if self.is_away() {
            return true;
        }
        let filled = self
            .run(&self.fill, key, entry)
            .instrument(span("cache.fill"))
            .await;
        self.note(filled).unwrap_or(true)
    }

    /// Leaves a tombstone; if that fails, Redis is not read until it has been made up for.
    pub(super) async fn bury(&self, key: String, version: u64) {
        let tombstone = Entry::tombstone(version);
        let buried = !self.is_away()
            && self
                .run(&self.invalidate, key.clone(), &tombstone)
                .instrument(span("cache.invalidate"))
                .await
                .is_ok();
        if !buried {
            self.miss(key, version);
            self.leave_alone();
        }
    }

    async fn run(
        &self,
        script: &Script,
        key: String,
        entry: &Entry,
    ) -> Result<bool, fred::error::Error> {
        let arguments: Vec<Value> = vec![
            Value::from(entry.version.to_string()),
            Value::from(entry.encode()),
            Value::from(entry.lifetime.as_millis().to_string()),
        ];
        script
            .evalsha_with_reload(&self.client, key, arguments)
            .await
    }

    fn miss(&self, key: String, version: u64) {
        let mut missed = self.missed();
        if missed.len() >= MISSED_MAX && !missed.contains_key(&key) {
            tracing::warn!(
                key,
                "an invalidation is lost: the cached value lives to its end"
            );
            return;
        }
        let newest = missed.entry(key).or_default();
        *newest = version.max(*newest);
    }

    /// Makes up for what was missed; the last step is to be used again.
    async fn come_back(&self) {
        while let Some((key, version)) = self.any_missed() {
            let tombstone = Entry::tombstone(version);
            if self
                .run(&self.invalidate, key.clone(), &tombstone)
                .await
                .is_err()
            {
                return;
            }
            let mut missed = self.missed();
            if missed.get(&key) == Some(&version) {
                missed.remove(&key);
            }
        }
        if self.client.ping::<Value>(None).await.is_err() {
            return;
        }
        // Under the lock, so that no invalidation is missed between the look and the step.
        let missed = self.missed();
        if missed.is_empty() {
            self.breaker.failures.store(0, Ordering::Relaxed);
            self.breaker.is_away.store(false, Ordering::Release);
            self.metrics.redis_away.set(0);
        }
    }

    fn watch(&self, chassis: &Chassis) {
        let (redis, shutdown) = (self.clone(), chassis.shutdown());
        chassis.tasks().spawn_worker(async move {
            let mut ticks = tokio::time::interval(RETRY_PERIOD);
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                if redis.is_away() {
                    redis.come_back().await;
                    if !redis.is_away() {
                        tracing::info!("Redis is back");
                    }
                }
            }
        });
    }

    /// Counts failures; `None` when this is one.
    fn note<T>(&self, answer: Result<T, fred::error::Error>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.breaker.failures.store(0, Ordering::Relaxed);
                Some(answer)
            }
            Err(error) => {
                self.metrics.count(Layer::Shared, Outcome::Error);
                let failures = self.breaker.failures.fetch_add(1, Ordering::Relaxed) + 1;
                if failures >= FAILURES_MAX {
                    tracing::warn!(%error, "Redis is left alone until it answers");
                    self.leave_alone();
                }
                None
            }
        }
    }

    fn count(&self, found: Option<Entry>) -> Option<Entry> {
        let outcome = if found.is_some() {
            Outcome::Hit
        } else {
            Outcome::Miss
        };
        self.metrics.count(Layer::Shared, outcome);
        found
    }

    fn is_away(&self) -> bool {
        self.breaker.is_away.load(Ordering::Acquire)
    }

    fn leave_alone(&self) {
        self.breaker.is_away.store(true, Ordering::Release);
        self.metrics.redis_away.set(1);
    }

    fn any_missed(&self) -> Option<(String, u64)> {
        let missed = self.missed();
        missed
            .iter()
            .next()
            .map(|(key, version)| (key.clone(), *version))
    }

    fn missed(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.breaker
            .missed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn span(name: &'static str) -> Span {
    if !chassis::trace::is_recording() {
        return Span::none();
    }
    tracing::info_span!(
        "cache",
        otel.name = name,
        otel.kind = "client",
        db.system.name = "redis",
    )
}
