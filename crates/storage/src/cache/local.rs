use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache as Moka;
use moka::ops::compute::{CompResult, Op};

use super::Cached;
use super::entry::{TOMBSTONE, with_jitter};

const BYTES_MAX: u64 = 16 << 20;

/// How long this process serves a value that another process may have changed.
const LIFETIME_MAX: Duration = Duration::from_secs(5);

/// The level inside the process.
pub(super) struct Local(Moka<String, Held>);

#[derive(Clone)]
struct Held {
    version: u64,
    lifetime: Duration,
    size: usize,
    state: State,
}

#[derive(Clone)]
enum State {
    /// Versions below this one are dead.
    Tombstone,
    Absent,
    Value(Arc<dyn Any + Send + Sync>),
}

struct Lifetimes;

impl Expiry<String, Held> for Lifetimes {
    fn expire_after_create(&self, _key: &String, held: &Held, _at: Instant) -> Option<Duration> {
        Some(held.lifetime)
    }

    fn expire_after_update(
        &self,
        _key: &String,
        held: &Held,
        _at: Instant,
        _left: Option<Duration>,
    ) -> Option<Duration> {
        Some(held.lifetime)
    }
}

impl Local {
    pub(super) fn new() -> Self {
        let weigh = |key: &String, held: &Held| {
            u32::try_from(key.len() + held.size + size_of::<Held>()).unwrap_or(u32::MAX)
        };
        Self(
            Moka::builder()
                .max_capacity(BYTES_MAX)
                .weigher(weigh)
                .expire_after(Lifetimes)
                .build(),
        )
    }

    /// `Some(None)`: the value is known to be absent.
    pub(super) async fn get<T: Cached>(&self, key: &str) -> Option<Option<Arc<T>>> {
        match self.0.get(key).await?.state {
            State::Tombstone => None,
            State::Absent => Some(None),
            State::Value(value) => value.downcast().ok().map(Some),
        }
    }

    /// `false`: a newer version, or its tombstone, is here.
    pub(super) async fn fill<T: Cached>(
        &self,
        key: &str,
        version: u64,
        value: Option<Arc<T>>,
        size: usize,
    ) -> bool {
        let held = Held {
            version,
            lifetime: with_jitter(LIFETIME_MAX.min(T::TTL)),
            size,
            state: value.map_or(State::Absent, |value| State::Value(value)),
        };
        self.put(key, held, |known| known <= version).await
    }

    pub(super) async fn bury(&self, key: &str, version: u64) {
        let held = Held {
            version,
            lifetime: TOMBSTONE,
            size: 0,
            state: State::Tombstone,
        };
        self.put(key, held, |known| known < version).await;
    }

    async fn put(&self, key: &str, held: Held, replaces: impl FnOnce(u64) -> bool) -> bool {
        let result = self
            .0
            .entry_by_ref(key)
            .and_compute_with(async |known| match known {
                Some(known) if !replaces(known.value().version) => Op::Nop,
                _ => Op::Put(held),
            })
            .await;
        !matches!(result, CompResult::Unchanged(_))
    }
}
