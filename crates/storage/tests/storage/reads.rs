use std::time::Duration;

use chassis::{Consistency, Context};
use types::{Slot, UserId};

use crate::support::{self, Process};

async fn with_seen<T>(seen: Consistency, request: impl Future<Output = T>) -> T {
    let context = Context {
        consistency: seen,
        ..Context::default()
    };
    context.scope(request).await
}

/// Reads by replicas that had to show anything, and by primaries: anything, what was seen, the
/// newest.
async fn reads(process: &Process) -> [u64; 4] {
    let count = async |role: &str, need: &str| {
        let labels = [format!("role=\"{role}\""), format!("need=\"{need}\"")];
        let labels = labels.each_ref().map(String::as_str);
        process.metric("db_reads_total", &labels).await
    };
    [
        count("replica", "any").await,
        count("primary", "any").await,
        count("primary", "seen").await,
        count("primary", "newest").await,
    ]
}

#[tokio::test]
async fn reads_are_counted_by_what_the_caller_had_to_see() {
    let process = support::process_of("order", &[]).await;
    let shard = process.cluster.shard(&UserId::new(Slot::draw()));

    with_seen(Consistency::default(), shard.replica())
        .await
        .unwrap();
    with_seen(Consistency::lost(), shard.replica())
        .await
        .unwrap();
    with_seen(Consistency::default(), shard.primary())
        .await
        .unwrap();

    assert_eq!(reads(&process).await, [1, 0, 1, 1]);
}

#[tokio::test]
async fn without_a_replica_the_primary_is_seen_to_serve_who_has_no_need_of_it() {
    let process = support::process_of("order", &["--replicas="]).await;
    let shard = process.cluster.shard(&UserId::new(Slot::draw()));

    with_seen(Consistency::default(), shard.replica())
        .await
        .unwrap();

    assert_eq!(reads(&process).await, [0, 1, 0, 0]);
}

#[tokio::test]
async fn what_workers_read_is_not_counted() {
    let process = support::process_of("order", &[]).await;
    let shard = process.cluster.shard(&UserId::new(Slot::draw()));
    let worker = Context::for_worker("order", None, Duration::from_secs(10));

    shard.primary_once().await.unwrap();
    worker.scope(shard.primary_once()).await.unwrap();

    assert_eq!(reads(&process).await, [0; 4]);
}
