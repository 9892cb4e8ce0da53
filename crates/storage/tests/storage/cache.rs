use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fred::prelude::{Builder, Client, ClientLike, Expiration, KeysInterface};
use futures::future::join_all;
use storage::Error;
use storage::cache::{Cache, Cached};
use tokio::sync::oneshot;

use crate::support;

#[derive(Clone, PartialEq, prost::Message)]
pub struct Note {
    #[prost(uint64, tag = "1")]
    pub version: u64,
}

impl Cached for Note {
    const PREFIX: &'static str = "note";
    const TTL: Duration = Duration::from_secs(60);
}

pub type Loaded = Result<Option<(u64, Note)>, Error>;

pub fn row(version: u64) -> Loaded {
    Ok(Some((version, Note { version })))
}

/// A process of its own, as far as the cache can tell.
pub async fn process(redis_url: &str) -> Cache {
    let mut flags = support::flags().await;
    flags.retain(|flag| !flag.starts_with("--redis-url"));
    flags.push(format!("--redis-url={redis_url}"));
    let settings = support::settings(&flags);
    let (chassis, _) = support::chassis("order", &settings).await;
    Cache::connect(&chassis, &settings.storage).await.unwrap()
}

pub async fn shared_process() -> Cache {
    process(&support::fixture().await.redis_url).await
}

pub async fn version(cache: &Cache, key: &str, load: impl Future<Output = Loaded>) -> Option<u64> {
    let note = cache.get_or_load::<Note, Error>(key, load).await.unwrap();
    note.map(|note| note.version)
}

/// Of a value or a tombstone.
pub async fn version_in_redis(client: &Client, key: &str) -> Option<u64> {
    let bytes: Option<Vec<u8>> = client.get(format!("note:{key}")).await.ok()?;
    Some(u64::from_be_bytes(bytes?[..8].try_into().unwrap()))
}

/// Waits until Redis has what a fill wrote behind its caller's back.
pub async fn filled(client: &Client, key: &str) {
    let exists = async || version_in_redis(client, key).await;
    testkit::eventually(Duration::from_secs(5), exists).await;
}

pub async fn client(redis_url: &str) -> Client {
    let config = fred::types::config::Config::from_url(redis_url).unwrap();
    let client = Builder::from_config(config).build().unwrap();
    client.init().await.unwrap();
    client
}

#[tokio::test]
async fn a_thousand_readers_make_one_load() {
    let cache = shared_process().await;
    let loads = AtomicU32::new(0);
    let load = async || {
        loads.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        row(1)
    };

    let readers = (0..1000).map(|_| version(&cache, "thousand", load()));
    let versions = join_all(readers).await;

    assert_eq!(loads.load(Ordering::Relaxed), 1);
    assert!(versions.iter().all(|version| *version == Some(1)));
}

/// Mutant: without the flight every reader loads.
#[tokio::test]
async fn readers_who_do_not_wait_for_each_other_would_all_load() {
    let redis = client(&support::fixture().await.redis_url).await;
    let loads = AtomicU32::new(0);
    let reader = async || {
        if redis
            .get::<Option<u64>, _>("mutant:thousand")
            .await
            .unwrap()
            .is_none()
        {
            loads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            redis
                .set::<(), _, _>("mutant:thousand", 1, None, None, false)
                .await
                .unwrap();
        }
    };

    join_all((0..1000).map(|_| reader())).await;

    assert!(loads.load(Ordering::Relaxed) > 1);
}

#[tokio::test]
async fn another_process_finds_the_value_in_redis() {
    let url = &support::fixture().await.redis_url;
    version(&process(url).await, "shared", async { row(3) }).await;
    filled(&client(url).await, "shared").await;

    let found = version(&process(url).await, "shared", async {
        panic!("loaded again")
    })
    .await;

    assert_eq!(found, Some(3));
}

#[tokio::test]
async fn a_slow_load_does_not_bring_back_what_a_commit_replaced() {
    let (slow, writer, reader) = tokio::join!(shared_process(), shared_process(), shared_process());
    let (read_old, old_is_read) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel();
    let load = async {
        read_old.send(()).unwrap();
        may_go_on.await.unwrap();
        row(1)
    };
    let commit = async {
        old_is_read.await.unwrap();
        writer.invalidate::<Note>("slow", 2).await;
        go_on.send(()).unwrap();
    };

    let (slow_version, ()) = tokio::join!(version(&slow, "slow", load), commit);
    let found = version(&reader, "slow", async { row(2) }).await;
    let in_writer = version(&writer, "slow", async { row(2) }).await;

    assert_eq!(slow_version, Some(1), "it was asked before the commit");
    assert_eq!((found, in_writer), (Some(2), Some(2)));
}

/// Mutant: cache-aside with DEL and SETEX, in the same order of events, is stale to its end.
#[tokio::test]
async fn plain_delete_and_set_would_keep_the_old_value() {
    let redis = client(&support::fixture().await.redis_url).await;

    let old: Option<u64> = redis.get("mutant:slow").await.unwrap();
    assert_eq!(old, None, "so the reader loads version 1");
    redis.del::<(), _>("mutant:slow").await.unwrap();
    redis
        .set::<(), _, _>("mutant:slow", 1, Some(Expiration::EX(60)), None, false)
        .await
        .unwrap();

    let found: Option<u64> = redis.get("mutant:slow").await.unwrap();
    assert_eq!(
        found,
        Some(1),
        "though version 2 was committed before the DEL"
    );
}

#[tokio::test]
async fn absence_is_remembered_until_the_insert() {
    let cache = shared_process().await;
    let absent = version(&cache, "absent", async { Ok(None) }).await;
    let again = version(&cache, "absent", async { panic!("loaded again") }).await;

    cache.invalidate::<Note>("absent", 1).await;
    let inserted = version(&cache, "absent", async { row(1) }).await;

    assert_eq!((absent, again, inserted), (None, None, Some(1)));
}

#[tokio::test]
async fn of_many_keys_only_the_missing_are_loaded() {
    let cache = shared_process().await;
    let keys = ["many-1", "many-2", "many-3"].map(str::to_owned);
    version(&cache, "many-2", async { row(2) }).await;
    let rows = async |missing: Vec<String>| {
        assert_eq!(missing, ["many-1", "many-3"]);
        Ok::<_, Error>(vec![("many-3".to_owned(), 3, Note { version: 3 })])
    };

    let mut found = cache
        .get_many_or_load::<Note, Error>(&keys, rows)
        .await
        .unwrap();
    let nothing_missing = async |_| panic!("absence is remembered too");
    let again = cache
        .get_many_or_load::<Note, Error>(&keys, nothing_missing)
        .await
        .unwrap();

    found.sort_by_key(|(_, note)| note.version);
    let found: Vec<_> = found
        .iter()
        .map(|(key, note)| (&**key, note.version))
        .collect();
    assert_eq!(found, [("many-2", 2), ("many-3", 3)]);
    assert_eq!(again.len(), 2);
}
