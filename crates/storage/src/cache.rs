//! Versioned values in the process and in Redis.
//!
//! Both levels follow one rule: a value is kept unless a newer one, or the tombstone of a newer one,
//! is there. So a load that was slow cannot bring back what a commit has replaced meanwhile.

mod entry;
mod flight;
mod local;
mod metrics;
mod redis;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::Chassis;

use crate::{Config, Error};
use entry::{Entry, State};
use flight::Flights;
use local::Local;
use metrics::{Layer, Metrics, Outcome};
use redis::Redis;

/// A value that is cached under `PREFIX` and its key, for `TTL` unless it changes before.
pub trait Cached: prost::Message + Default + 'static {
    const PREFIX: &'static str;
    const TTL: Duration;
}

/// Two levels: this process, then the service's Redis. Losing either loses nothing. Clones are the
/// same cache.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

struct Inner {
    local: Local,
    redis: Redis,
    flights: Flights,
    metrics: Metrics,
    chassis: Chassis,
}

impl Cache {
    /// A Redis that is away does not matter: it is used from when it comes back.
    pub async fn connect(chassis: &Chassis, config: &Config) -> Result<Self, Error> {
        let metrics = chassis.register(Metrics::register);
        Ok(Self(Arc::new(Inner {
            local: Local::new(),
            redis: Redis::connect(chassis, &config.redis_url, &metrics).await?,
            flights: Flights::default(),
            metrics,
            chassis: chassis.clone(),
        })))
    }

    /// The value, from the nearest level or from `load`, which runs once however many ask; it
    /// answers with the row's version, from 1 on. `None` is remembered too, for a few seconds.
    ///
    /// A value past three quarters of its lifetime is loaded anew, and serves on if that fails.
    pub async fn get_or_load<T: Cached, E: From<Error>>(
        &self,
        key: &str,
        load: impl Future<Output = Result<Option<(u64, T)>, E>>,
    ) -> Result<Option<Arc<T>>, E> {
        let key = full_key::<T>(key);
        if let Some(found) = self.find_local(&key).await {
            return Ok(found);
        }
        let _flight = self.0.flights.board(&key).await;
        // Whoever was here before may have loaded it.
        if let Some(found) = self.find_local(&key).await {
            return Ok(found);
        }
        let shared = match self.0.redis.get(&key).await {
            Some(entry) => self.adopt::<T>(&key, entry).await,
            None => Found::Nothing,
        };
        if let Found::Fresh(value) = shared {
            return Ok(value);
        }
        let started = Instant::now();
        let loaded = load.await;
        self.0
            .metrics
            .load_seconds
            .observe(started.elapsed().as_secs_f64());
        match (loaded, shared) {
            (Ok(loaded), _) => Ok(self.fill::<T>(key, loaded).await),
            (Err(_), Found::Stale(value)) => {
                self.0.metrics.count(Layer::Shared, Outcome::Stale);
                Ok(value)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// [`get_or_load`](Self::get_or_load) for many keys: `load` is given those that are in no level,
    /// and answers with key, version and value. Keys without a value are absent from the answer.
    pub async fn get_many_or_load<T: Cached, E: From<Error>>(
        &self,
        keys: &[String],
        load: impl AsyncFnOnce(Vec<String>) -> Result<Vec<(String, u64, T)>, E>,
    ) -> Result<Vec<(String, Arc<T>)>, E> {
        let mut found = Vec::with_capacity(keys.len());
        let missing = self.find_many_local(keys.to_vec(), &mut found).await;
        if missing.is_empty() {
            return Ok(found);
        }
        let full_keys: Vec<String> = missing.iter().map(|key| full_key::<T>(key)).collect();
        let _flights = self.0.flights.board_all(full_keys).await;
        let missing = self.find_many_local(missing, &mut found).await;
        let missing = self.find_many_shared(missing, &mut found).await;
        if missing.is_empty() {
            return Ok(found);
        }
        let started = Instant::now();
        let mut loaded = load(missing.clone()).await?;
        self.0
            .metrics
            .load_seconds
            .observe(started.elapsed().as_secs_f64());
        for key in missing {
            let row = loaded
                .iter()
                .position(|(loaded_key, ..)| *loaded_key == key);
            let row = row.map(|index| loaded.swap_remove(index));
            let value = row.map(|(_, version, value)| (version, value));
            if let Some(value) = self.fill::<T>(full_key::<T>(&key), value).await {
                found.push((key, value));
            }
        }
        Ok(found)
    }

    /// [`get_or_load`](Self::get_or_load) for what has no version, such as a page of a list: only
    /// its lifetime ends it, so it is for callers who wrote nothing.
    pub async fn get_or_load_list<T: Cached, E: From<Error>>(
        &self,
        key: &str,
        load: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, E> {
        let list = async { Ok(Some((0, load.await?))) };
        let list = self.get_or_load::<T, E>(key, list).await?;
        Ok(list.unwrap_or_default())
    }

    /// Forgets every version below `version`, in this process and in Redis. To be called after the
    /// commit, or shortly before it: nobody can cache the old row again while the tombstone stands.
    pub async fn invalidate<T: Cached>(&self, key: &str, version: u64) {
        let key = full_key::<T>(key);
        self.0.local.bury(&key, version).await;
        self.0.redis.bury(key, version).await;
    }

    /// `Some(None)`: the value is known to be absent.
    async fn find_local<T: Cached>(&self, key: &str) -> Option<Option<Arc<T>>> {
        let found = self.0.local.get::<T>(key).await;
        let outcome = if found.is_some() {
            Outcome::Hit
        } else {
            Outcome::Miss
        };
        self.0.metrics.count(Layer::Local, outcome);
        found
    }

    /// Moves what it finds to `found`; returns the rest.
    async fn find_many_local<T: Cached>(
        &self,
        keys: Vec<String>,
        found: &mut Vec<(String, Arc<T>)>,
    ) -> Vec<String> {
        let mut missing = Vec::new();
        for key in keys {
            match self.find_local::<T>(&full_key::<T>(&key)).await {
                Some(Some(value)) => found.push((key, value)),
                Some(None) => {}
                None => missing.push(key),
            }
        }
        missing
    }

    /// As [`find_many_local`](Self::find_many_local), in Redis.
    async fn find_many_shared<T: Cached>(
        &self,
        keys: Vec<String>,
        found: &mut Vec<(String, Arc<T>)>,
    ) -> Vec<String> {
        let full_keys: Vec<String> = keys.iter().map(|key| full_key::<T>(key)).collect();
        let entries = self.0.redis.get_many(&full_keys).await;
        let mut missing = Vec::new();
        for (key, (full_key, entry)) in keys.into_iter().zip(full_keys.iter().zip(entries)) {
            let adopted = match entry {
                Some(entry) => self.adopt::<T>(full_key, entry).await,
                None => Found::Nothing,
            };
            match adopted {
                Found::Fresh(Some(value)) => found.push((key, value)),
                Found::Fresh(None) => {}
                Found::Stale(_) | Found::Nothing => missing.push(key),
            }
        }
        missing
    }

    /// Takes an entry of Redis into this process, unless this process knows of a newer version.
    async fn adopt<T: Cached>(&self, key: &str, entry: Entry) -> Found<T> {
        let value = match &entry.state {
            State::Tombstone => return Found::Nothing,
            State::Absent => None,
            State::Value(bytes) => match T::decode(bytes.clone()) {
                Ok(value) => Some(Arc::new(value)),
                // Another release may have written it.
                Err(_) => return Found::Nothing,
            },
        };
        if !self
            .0
            .local
            .fill::<T>(key, entry.version, value.clone(), entry.size())
            .await
        {
            return Found::Nothing;
        }
        if entry.is_soft_expired() {
            return Found::Stale(value);
        }
        Found::Fresh(value)
    }

    /// Keeps what was loaded, and returns it.
    async fn fill<T: Cached>(&self, key: String, loaded: Option<(u64, T)>) -> Option<Arc<T>> {
        let (version, value) = match loaded {
            Some((version, value)) => (version, Some(Arc::new(value))),
            None => (0, None),
        };
        let entry = Entry::new::<T>(version, value.as_deref());
        self.0
            .local
            .fill::<T>(&key, version, value.clone(), entry.size())
            .await;
        // Nobody waits for Redis: the next reader finds the value in this process.
        let inner = Arc::clone(&self.0);
        self.0.chassis.tasks().spawn(async move {
            if !inner.redis.fill(key, &entry).await {
                inner.metrics.fills_refused.inc();
            }
        });
        value
    }
}

/// What Redis had.
enum Found<T> {
    Fresh(Option<Arc<T>>),
    /// Past its soft expiry: only if the load fails.
    Stale(Option<Arc<T>>),
    Nothing,
}

fn full_key<T: Cached>(key: &str) -> String {
    format!("{}:{key}", T::PREFIX)
}
