use std::time::Duration;

use chassis::{Context, deadline, fault};
use futures::future::join_all;
use storage::{Error, WriteTx};
use tonic::{Code, Status};
use types::{Slot, UserId};

use crate::support;

const BUDGET: Duration = Duration::from_secs(10);

async fn sleep_in(tx: &mut WriteTx) {
    sqlx::query("select pg_sleep(0.1)")
        .execute(tx)
        .await
        .unwrap();
}

async fn with_budget<T>(budget: Duration, request: impl Future<Output = T>) -> T {
    let context = Context::for_worker("gateway", None, budget);
    context.scope(request).await
}

#[tokio::test]
async fn a_burst_of_writes_waits_for_its_turn() {
    let cluster = support::cluster_with(&["--pool-size=5"]).await;
    let user = UserId::new(Slot::draw());

    let burst = (0..48).map(|_| {
        with_budget(BUDGET, async {
            let mut tx = cluster.begin(&user).await?;
            sleep_in(&mut tx).await;
            tx.commit().await
        })
    });
    let outcomes = join_all(burst).await;

    let refused: Vec<_> = outcomes.iter().filter(|outcome| outcome.is_err()).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn a_pool_that_is_held_is_a_reason_told_within_the_deadline() {
    let cluster = support::cluster_with(&["--pool-size=1"]).await;
    let user = UserId::new(Slot::draw());
    let held = cluster.begin(&user).await.unwrap();

    let (refused, left) = with_budget(Duration::from_secs(1), async {
        let refused = cluster.begin(&user).await;
        (refused, deadline::remaining().unwrap())
    })
    .await;
    held.rollback().await;

    assert!(left > Duration::ZERO, "too late to answer");
    let status = Status::from(refused.unwrap_err());
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(fault::reason(&status).as_deref(), Some("SHARD_BUSY"));
}

/// Without places the first five reactions would hold every connection and wait for a sixth.
#[tokio::test]
async fn reactions_that_need_a_second_connection_find_one() {
    let cluster = support::cluster_with(&["--pool-size=5"]).await;
    let user = UserId::new(Slot::draw());

    let reactions = (0..16).map(async |_| -> Result<(), Error> {
        let shard = cluster.shard(&user);
        let _place = shard.reaction_place().await;
        let mut tx = cluster.begin(&user).await?;
        sleep_in(&mut tx).await;
        shard.primary_once().await?;
        tx.commit().await?;
        Ok(())
    });
    let outcomes = join_all(reactions).await;

    let refused: Vec<_> = outcomes.iter().filter(|outcome| outcome.is_err()).collect();
    assert!(refused.is_empty(), "{refused:?}");
}
