use storage::idempotency::{self, Started};
use types::{Slot, UserId};

use crate::support::{self, owner_of};

const REQUEST: [u8; 32] = [1; 32];
const OTHER_REQUEST: [u8; 32] = [2; 32];

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer() {
    let cluster = support::cluster().await;
    let user = UserId::new(Slot::draw());
    let mut tx = cluster.begin(&user).await.unwrap();
    let first = idempotency::begin(&mut tx, user.uuid(), "key", REQUEST)
        .await
        .unwrap();
    idempotency::finish(&mut tx, user.uuid(), "key", b"answer")
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let mut tx = cluster.begin(&user).await.unwrap();
    let again = idempotency::begin(&mut tx, user.uuid(), "key", REQUEST)
        .await
        .unwrap();
    let reused = idempotency::begin(&mut tx, user.uuid(), "key", OTHER_REQUEST)
        .await
        .unwrap();

    assert_eq!(first, Started::New);
    assert_eq!(again, Started::Replay(b"answer".to_vec()));
    assert_eq!(reused, Started::Reused);
    tx.rollback().await;
}

#[tokio::test]
async fn an_answer_that_is_known_from_the_start_is_kept_with_the_claim() {
    let cluster = support::cluster().await;
    let user = UserId::new(Slot::draw());
    let begin = async |answer: &'static [u8]| {
        let mut tx = cluster.begin(&user).await.unwrap();
        let started =
            idempotency::begin_answered(&mut tx, user.uuid(), "key", REQUEST, answer).await;
        tx.commit().await.unwrap();
        started.unwrap()
    };

    let first = begin(b"first").await;
    let again = begin(b"second").await;

    assert_eq!(first, Started::New);
    assert_eq!(again, Started::Replay(b"first".to_vec()));
}

#[tokio::test]
async fn a_request_under_way_is_taken_over_once_its_lock_has_run_out() {
    let cluster = support::cluster().await;
    let user = UserId::new(Slot::draw());
    let mut tx = cluster.begin(&user).await.unwrap();
    idempotency::begin(&mut tx, user.uuid(), "key", REQUEST)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let mut tx = cluster.begin(&user).await.unwrap();
    let under_way = idempotency::begin(&mut tx, user.uuid(), "key", REQUEST)
        .await
        .unwrap();
    tx.rollback().await;
    sqlx::query("update idempotency_keys set locked_until = now() where scope_id = $1")
        .bind(user.uuid())
        .execute(&mut owner_of(user.slot()).await)
        .await
        .unwrap();
    let mut tx = cluster.begin(&user).await.unwrap();
    let taken_over = idempotency::begin(&mut tx, user.uuid(), "key", REQUEST)
        .await
        .unwrap();

    assert_eq!(under_way, Started::InProgress);
    assert_eq!(taken_over, Started::New);
    tx.rollback().await;
}

#[tokio::test]
async fn of_two_requests_at_once_the_second_waits_for_the_first_answer() {
    let cluster = support::cluster().await;
    let user = UserId::new(Slot::draw());
    let request = async |answer: &'static [u8]| {
        let mut tx = cluster.begin(&user).await.unwrap();
        let started = idempotency::begin(&mut tx, user.uuid(), "key", REQUEST)
            .await
            .unwrap();
        if started == Started::New {
            idempotency::finish(&mut tx, user.uuid(), "key", answer)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        started
    };

    let (one, two) = tokio::join!(request(b"one"), request(b"two"));

    let replays = [
        Started::Replay(b"one".to_vec()),
        Started::Replay(b"two".to_vec()),
    ];
    assert!(one == Started::New && two == replays[0] || two == Started::New && one == replays[1]);
}
