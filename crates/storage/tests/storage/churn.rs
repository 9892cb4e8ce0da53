use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use fred::prelude::{Expiration, KeysInterface};
use futures::future::join_all;
use rand::RngExt as _;

use crate::cache::{Note, client, row, shared_process, version, version_in_redis};
use crate::support;

/// Rows by key: nothing but their version.
#[derive(Default)]
struct Database(Mutex<HashMap<String, u64>>);

impl Database {
    fn raise(&self, key: &str) -> u64 {
        let mut rows = self.0.lock().unwrap();
        let version = rows.entry(key.to_owned()).or_default();
        *version += 1;
        *version
    }

    fn version(&self, key: &str) -> u64 {
        self.0.lock().unwrap().get(key).copied().unwrap_or_default()
    }

    /// As slow as a database may be.
    async fn load(&self, key: &str) -> u64 {
        let version = self.version(key);
        pause().await;
        version
    }

    fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

/// Mixes what runs at once in another way each time.
async fn pause() {
    let micros = rand::rng().random_range(0..5000);
    tokio::time::sleep(Duration::from_micros(micros)).await;
}

/// Many readers and writers at once, up to `rounds` times; each call is told which of two processes
/// it runs in. Whether `cached` was ever older than the database when all had ended.
async fn goes_stale(
    rounds: usize,
    read: impl AsyncFn(&Database, usize, &str),
    invalidate: impl AsyncFn(usize, &str, u64),
    cached: impl AsyncFn(&str) -> Option<u64>,
) -> bool {
    let database = Database::default();
    let step = async |number: usize| {
        let key = format!("churn-{}", rand::rng().random_range(0..8));
        pause().await;
        if rand::rng().random_bool(0.3) {
            let version = database.raise(&key);
            pause().await;
            invalidate(number % 2, &key, version).await;
        } else {
            read(&database, number % 2, &key).await;
        }
    };
    for _ in 0..rounds {
        join_all((0..50).map(&step)).await;
        for key in database.keys() {
            let older = |version| version < database.version(&key);
            if cached(&key).await.is_some_and(older) {
                return true;
            }
        }
    }
    false
}

#[tokio::test]
async fn after_quiescence_redis_holds_nothing_older_than_the_database() {
    let redis = client(&support::fixture().await.redis_url).await;
    let processes = [shared_process().await, shared_process().await];

    let stale = goes_stale(
        20,
        async |database, process, key| {
            let load = async { row(database.load(key).await) };
            version(&processes[process], key, load).await;
        },
        async |process, key, version| processes[process].invalidate::<Note>(key, version).await,
        async |key| version_in_redis(&redis, key).await,
    )
    .await;

    assert!(!stale);
}

/// Mutant: cache-aside with DEL and SETEX keeps old values under the same churn.
#[tokio::test]
async fn plain_cache_aside_would_hold_values_older_than_the_database() {
    let redis = client(&support::fixture().await.redis_url).await;
    let minute = || Some(Expiration::EX(60));

    // Mostly one of the first rounds; on a busy machine, where the pauses lose their order, later.
    let stale = goes_stale(
        1_000,
        async |database, _, key| {
            if redis.get::<Option<u64>, _>(key).await.unwrap().is_none() {
                let version = database.load(key).await;
                redis
                    .set::<(), _, _>(key, version, minute(), None, false)
                    .await
                    .unwrap();
            }
        },
        async |_, key, _| redis.del::<(), _>(key).await.unwrap(),
        async |key| redis.get::<Option<u64>, _>(key).await.unwrap(),
    )
    .await;

    assert!(stale);
}
