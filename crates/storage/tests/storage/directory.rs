use std::time::Duration;

use storage::directory::{self, Reservation};
use storage::{Cluster, Error};
use types::{Slot, UserId};
use uuid::Uuid;

use crate::support;

const MINUTE: Duration = Duration::from_secs(60);

async fn reserve(
    cluster: &Cluster<UserId>,
    email: &str,
    owner: Uuid,
    lifetime: Duration,
    alive: bool,
) -> Reservation {
    directory::reserve(cluster, "email", email, owner, lifetime, async |_| {
        Ok::<_, Error>(alive)
    })
    .await
    .unwrap()
}

fn somebody() -> (String, Uuid) {
    let user = UserId::new(Slot::draw()).uuid();
    (format!("customer-{user}@example.com"), user)
}

#[tokio::test]
async fn a_key_has_one_owner_however_it_is_spelled() {
    let cluster = support::cluster().await;
    let (email, first) = somebody();
    let (_, second) = somebody();

    let held = reserve(&cluster, &email, first, MINUTE, true).await;
    let again = reserve(&cluster, &email, first, MINUTE, true).await;
    let taken = reserve(
        &cluster,
        &format!(" {} ", email.to_uppercase()),
        second,
        MINUTE,
        true,
    )
    .await;

    assert_eq!((held, again), (Reservation::Held, Reservation::Held));
    assert_eq!(taken, Reservation::Taken(first));
    assert!(
        directory::activate(&cluster, "email", &email, first)
            .await
            .unwrap()
    );
    assert_eq!(
        directory::find_newest(&cluster, "email", &email)
            .await
            .unwrap(),
        Some(first)
    );
}

#[tokio::test]
async fn a_reservation_blocks_no_longer_than_its_lifetime() {
    let cluster = support::cluster().await;
    let (email, dead) = somebody();
    let (_, next) = somebody();
    reserve(&cluster, &email, dead, Duration::ZERO, false).await;

    let taken_over = reserve(&cluster, &email, next, MINUTE, false).await;
    let too_late = directory::activate(&cluster, "email", &email, dead)
        .await
        .unwrap();

    assert_eq!(taken_over, Reservation::Held);
    assert!(!too_late, "the first owner learns that the key is gone");
}

#[tokio::test]
async fn an_expired_reservation_whose_owner_lives_is_not_taken_over() {
    let cluster = support::cluster().await;
    let (email, owner) = somebody();
    let (_, next) = somebody();
    reserve(&cluster, &email, owner, Duration::ZERO, true).await;

    let taken = reserve(&cluster, &email, next, MINUTE, true).await;

    assert_eq!(taken, Reservation::Taken(owner));
}

/// Mutant: without the look at expiry, an owner on the way would lose its key.
#[tokio::test]
async fn a_pending_reservation_is_not_taken_over_though_its_owner_is_not_there_yet() {
    let cluster = support::cluster().await;
    let (email, owner) = somebody();
    let (_, next) = somebody();
    reserve(&cluster, &email, owner, MINUTE, false).await;

    let taken = reserve(&cluster, &email, next, MINUTE, false).await;

    assert_eq!(taken, Reservation::Taken(owner));
}

#[tokio::test]
async fn of_many_who_want_a_dead_key_one_gets_it() {
    let cluster = support::cluster_with(&["--pool-size=20", "--pool-wait-ms=5000"]).await;
    let (email, dead) = somebody();
    reserve(&cluster, &email, dead, Duration::ZERO, false).await;

    let wishes = (0..20).map(|_| reserve(&cluster, &email, somebody().1, MINUTE, false));
    let answers = futures::future::join_all(wishes).await;

    let held = answers
        .iter()
        .filter(|answer| **answer == Reservation::Held);
    assert_eq!(held.count(), 1);
}

#[tokio::test]
async fn a_removed_key_is_free_and_only_its_owner_removes_it() {
    let cluster = support::cluster().await;
    let (email, owner) = somebody();
    let (_, other) = somebody();
    reserve(&cluster, &email, owner, MINUTE, true).await;

    directory::remove(&cluster, "email", &email, other)
        .await
        .unwrap();
    let kept = directory::find_newest(&cluster, "email", &email)
        .await
        .unwrap();
    directory::remove(&cluster, "email", &email, owner)
        .await
        .unwrap();
    let removed = directory::find_newest(&cluster, "email", &email)
        .await
        .unwrap();

    assert_eq!(kept, Some(owner));
    assert_eq!(removed, None);
}
