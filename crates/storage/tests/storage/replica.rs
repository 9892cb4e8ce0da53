use std::time::Duration;

use chassis::{Consistency, Context};
use types::{OrderId, Slot};

use crate::support::{self, read, write};

/// As a request that carries what its caller has seen.
async fn with_seen<T>(seen: &Consistency, request: impl Future<Output = T>) -> T {
    let context = Context {
        consistency: seen.clone(),
        ..Context::default()
    };
    context.scope(request).await
}

async fn is_in_recovery(snapshot: &mut storage::Snapshot) -> bool {
    sqlx::query_scalar("select pg_is_in_recovery()")
        .fetch_one(snapshot)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_caller_reads_his_own_write_at_once_though_the_replica_lags() {
    let cluster = support::cluster().await;
    let note = OrderId::new(Slot::draw());
    let seen = Consistency::default();

    with_seen(&seen, write(&cluster, note, "mine")).await;
    let body = with_seen(&seen, async {
        let mut snapshot = cluster.shard(&note).replica().await.unwrap();
        read(&mut snapshot, note).await
    })
    .await;

    assert_eq!(body.as_deref(), Some("mine"));
}

#[tokio::test]
async fn a_replica_serves_a_write_once_it_has_replayed_it() {
    let cluster = support::cluster().await;
    let note = OrderId::new(Slot::draw());
    let seen = Consistency::default();
    with_seen(&seen, write(&cluster, note, "mine")).await;

    let by_replica = async || {
        let token = Consistency::from_token(&seen.to_token().unwrap());
        with_seen(&token, async {
            let mut snapshot = cluster.shard(&note).replica().await.unwrap();
            assert_eq!(read(&mut snapshot, note).await.as_deref(), Some("mine"));
            is_in_recovery(&mut snapshot).await.then_some(())
        })
        .await
    };

    testkit::eventually(Duration::from_secs(10), by_replica).await;
}

#[tokio::test]
async fn somebody_who_saw_nothing_is_served_by_the_replica() {
    let cluster = support::cluster().await;
    let note = OrderId::new(Slot::draw());
    write(&cluster, note, "other").await;

    let by_replica = with_seen(&Consistency::default(), async {
        let mut snapshot = cluster.shard(&note).replica().await.unwrap();
        is_in_recovery(&mut snapshot).await
    })
    .await;

    assert!(by_replica);
}

#[tokio::test]
async fn a_lost_token_is_served_by_the_primary() {
    let cluster = support::cluster().await;
    let note = OrderId::new(Slot::draw());

    let by_replica = with_seen(&Consistency::lost(), async {
        let mut snapshot = cluster.shard(&note).replica().await.unwrap();
        is_in_recovery(&mut snapshot).await
    })
    .await;

    assert!(!by_replica);
}

/// Mutant: a reader who dropped the token would meet the replica's past.
#[tokio::test]
async fn a_dropped_token_would_show_the_past() {
    let cluster = support::cluster().await;
    let note = OrderId::new(Slot::draw());
    write(&cluster, note, "mine").await;

    let body = with_seen(&Consistency::default(), async {
        let mut snapshot = cluster.shard(&note).replica().await.unwrap();
        read(&mut snapshot, note).await
    })
    .await;

    assert_eq!(body, None, "the replica lags");
}

#[tokio::test]
async fn reads_are_monotonic_from_a_primary_to_a_lagging_replica() {
    let cluster = support::cluster().await;
    let note = OrderId::new(Slot::draw());
    write(&cluster, note, "newer").await;
    let reader = Consistency::default();

    let first = with_seen(&reader, async {
        let mut snapshot = cluster.shard(&note).primary().await.unwrap();
        read(&mut snapshot, note).await
    })
    .await;
    let second = with_seen(&reader, async {
        let mut snapshot = cluster.shard(&note).replica().await.unwrap();
        read(&mut snapshot, note).await
    })
    .await;

    assert_eq!(first.as_deref(), Some("newer"));
    assert_eq!(second, first);
}

#[tokio::test]
async fn the_statements_of_a_snapshot_agree() {
    let cluster = support::cluster().await;
    let note = OrderId::new(Slot::draw());
    write(&cluster, note, "before").await;

    let mut snapshot = cluster.shard(&note).primary().await.unwrap();
    let first = read(&mut snapshot, note).await;
    write(&cluster, note, "after").await;
    let second = read(&mut snapshot, note).await;

    assert_eq!(first.as_deref(), Some("before"));
    assert_eq!(second, first);
}
