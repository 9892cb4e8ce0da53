use chassis::{Consistency, Context, Position};
use futures::future::join_all;
use types::{Slot, UserId};

use crate::support::{self, Process, publish_map};

/// What a commit of this process tells.
async fn position(process: &Process) -> Position {
    let tx = process.cluster.begin(&UserId::new(Slot::draw())).await;
    tx.unwrap().commit().await.unwrap()
}

/// What somebody has seen who has met the map after the one that this process knows.
async fn ahead_of(process: &Process) -> Consistency {
    let mut met = position(process).await;
    met.map_version += 1;
    let seen = Consistency::default();
    seen.observe(met);
    seen
}

/// The part of a call that comes before its handler.
async fn call(process: &Process, seen: &Consistency) {
    let context = Context {
        consistency: seen.clone(),
        ..Context::default()
    };
    context.scope(process.chassis.prepare_call()).await;
}

#[tokio::test]
async fn a_token_of_a_newer_map_is_followed_at_once() {
    let process = support::process_of("order", &[]).await;
    let seen = ahead_of(&process).await;
    let known = position(&process).await.map_version;

    publish_map(Slot::new(0).unwrap(), 0).await;
    call(&process, &seen).await;

    assert!(position(&process).await.map_version > known);
}

#[tokio::test]
async fn a_crowd_with_a_newer_map_reads_it_together() {
    let process = support::process_of("order", &["--replicas="]).await;
    let seen = ahead_of(&process).await;
    let queries = async || {
        let name = "db_query_duration_seconds_count";
        process.metric(name, &["role=\"primary\""]).await
    };
    let before = queries().await;

    join_all((0..100).map(|_| call(&process, &seen))).await;

    // One for the first and one for all who came while it was under way; workers look now and then.
    let read = queries().await - before;
    assert!((1..10).contains(&read), "{read}");
}
