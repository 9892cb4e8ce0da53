use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use storage::{Cluster, Error};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use types::{OrderId, Slot, UserId};

use crate::support::{self, owner_of, publish_map, read, write};

#[tokio::test]
async fn rows_land_on_the_shard_that_owns_their_slot() {
    let cluster = support::cluster().await;
    let notes = [3, 511, 512, 1023].map(|slot| OrderId::new(Slot::new(slot).unwrap()));

    for note in notes {
        write(&cluster, note, "here").await;
    }

    for note in notes {
        let mut owner = owner_of(note.slot()).await;
        assert_eq!(read(&mut owner, note).await.as_deref(), Some("here"));
        assert!(cluster.shard(&note).owns(note.slot()));
    }
    let owned: usize = cluster
        .shards()
        .map(|shard| shard.owned_slots().len())
        .sum();
    assert_eq!(owned, 1024);
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing() {
    let cluster = support::cluster().await;
    let note = OrderId::new(Slot::draw());

    let mut tx = cluster.begin(&note).await.unwrap();
    sqlx::query("insert into notes (slot, note_id, body) values ($1, $2, 'x')")
        .bind(note.slot().to_db())
        .bind(note)
        .execute(&mut tx)
        .await
        .unwrap();
    drop(tx);

    let mut once = cluster.shard(&note).primary_once().await.unwrap();
    assert_eq!(read(&mut once, note).await, None);
}

/// PostgreSQL answers the commit of a failed transaction with a silent rollback.
#[tokio::test]
async fn a_commit_after_a_failed_statement_is_no_success() {
    let cluster = support::cluster().await;
    let note = OrderId::new(Slot::draw());
    write(&cluster, note, "first").await;

    let mut tx = cluster.begin(&note).await.unwrap();
    let error = sqlx::query("insert into notes (slot, note_id, body) values ($1, $2, 'x')")
        .bind(note.slot().to_db())
        .bind(note)
        .execute(&mut tx)
        .await
        .unwrap_err();
    let committed = tx.commit().await;

    assert_eq!(Error::from(error).constraint(), Some("notes_pkey"));
    assert!(matches!(committed, Err(Error::Failed)));
}

#[tokio::test]
async fn a_commit_that_takes_too_long_is_unknown_and_not_cancelled() {
    let cluster = support::cluster().await;
    let note = OrderId::new(Slot::draw());

    let mut tx = cluster.begin(&note).await.unwrap();
    sqlx::query("insert into slow_notes (slot, note_id) values ($1, $2)")
        .bind(note.slot().to_db())
        .bind(note)
        .execute(&mut tx)
        .await
        .unwrap();
    let unknown = tx.commit().await;

    let status = tonic::Status::from(unknown.unwrap_err());
    assert_eq!(
        chassis::fault::reason(&status).as_deref(),
        Some("COMMIT_UNKNOWN")
    );
    let committed = async || {
        let mut once = cluster.shard(&note).primary_once().await.unwrap();
        sqlx::query_scalar::<_, i32>("select 1 from slow_notes where slot = $1 and note_id = $2")
            .bind(note.slot().to_db())
            .bind(note)
            .fetch_optional(&mut once)
            .await
            .unwrap()
    };
    testkit::eventually(Duration::from_secs(10), committed).await;
}

#[tokio::test]
async fn a_fenced_slot_is_refused_until_the_fence_is_lifted() {
    let process = support::process_of("order", &[]).await;
    let cluster = &process.cluster;
    let user = UserId::new(Slot::new(77).unwrap());
    let mut owner = owner_of(user.slot()).await;
    sqlx::query("update slot_owner set state = 'fenced', epoch = epoch + 1 where slot = $1")
        .bind(user.slot().to_db())
        .execute(&mut owner)
        .await
        .unwrap();

    let refused = cluster.begin(&user).await;
    // The states are looked at every five seconds.
    testkit::eventually(Duration::from_secs(20), async || {
        let fenced = process.metric("shard_slots", &["state=\"fenced\""]).await;
        (fenced > 0).then_some(())
    })
    .await;
    sqlx::query("update slot_owner set state = 'active', epoch = epoch - 1 where slot = $1")
        .bind(user.slot().to_db())
        .execute(&mut owner)
        .await
        .unwrap();
    let accepted = cluster.begin(&user).await;

    let status = tonic::Status::from(refused.unwrap_err());
    assert_eq!(
        chassis::fault::reason(&status).as_deref(),
        Some("SLOT_FENCED")
    );
    accepted.unwrap().commit().await.unwrap();
}

#[tokio::test]
async fn a_write_follows_its_slot_to_the_next_map() {
    let cluster = support::cluster().await;
    let user = UserId::new(Slot::new(78).unwrap());
    let mut owner = owner_of(user.slot()).await;
    sqlx::query("update slot_owner set epoch = epoch + 1 where slot = $1")
        .bind(user.slot().to_db())
        .execute(&mut owner)
        .await
        .unwrap();
    publish_map(user.slot(), 1).await;

    let position = cluster.begin(&user).await.unwrap().commit().await.unwrap();

    assert!(position.map_version > 1);
}

/// Mutant: the guard folded into a statement is skipped whenever that statement matches no row.
#[tokio::test]
async fn a_guard_folded_into_a_statement_would_let_writes_through_a_fence() {
    let slot = Slot::new(79).unwrap();
    let mut owner = owner_of(slot).await;
    let mut fenced = owner.begin().await.unwrap();
    sqlx::query("update slot_owner set state = 'fenced' where slot = $1")
        .bind(slot.to_db())
        .execute(&mut *fenced)
        .await
        .unwrap();

    let folded = sqlx::query(
        "update notes set body = 'x'
        from slot_guard($1, 1)
        where slot = $1 and note_id = $2",
    )
    .bind(slot.to_db())
    .bind(OrderId::new(slot))
    .execute(&mut *fenced)
    .await;
    let opening = sqlx::query("select slot_guard($1, 1)")
        .bind(slot.to_db())
        .execute(&mut *fenced)
        .await;

    assert!(folded.is_ok(), "the mutant passes the fence");
    let refused = opening.unwrap_err();
    assert_eq!(
        refused.as_database_error().unwrap().code().as_deref(),
        Some("SH001")
    );
}

#[tokio::test]
async fn callers_beyond_the_pool_are_turned_away_after_the_wait() {
    let cluster = support::cluster_with(&["--pool-size=1", "--pool-wait-ms=50"]).await;
    let user = UserId::new(Slot::draw());
    let held = cluster.begin(&user).await.unwrap();

    let refused = cluster.begin(&user).await;
    held.rollback().await;
    let accepted = testkit::eventually(Duration::from_secs(5), async || {
        cluster.begin(&user).await.ok()
    });

    assert!(matches!(refused, Err(Error::Busy { .. })));
    accepted.await.rollback().await;
}

#[tokio::test]
async fn a_crowd_opens_no_more_connections_than_the_pool_has() {
    let cluster = support::cluster_of("budget", &["--pool-size=3", "--pool-wait-ms=10000"]).await;
    let slot = Slot::new(5).unwrap();
    let mut owner = owner_of(slot).await;

    let crowd = (0..200).map(|_| write(&cluster, OrderId::new(slot), "crowd"));
    join_all(crowd).await;
    let opened: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity
        where application_name = 'budget' and datname = current_database()",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();

    assert!((1..=3).contains(&opened), "{opened}");
}

/// A way to a server that hangs up on everybody until it is open.
#[derive(Default)]
struct Door {
    is_open: AtomicBool,
    turned_away: AtomicUsize,
}

async fn door_to(server: String, door: Arc<Door>, porter: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    porter.spawn(async move {
        let mut guests = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            if door.is_open.load(Ordering::Relaxed) {
                let mut server = TcpStream::connect(&server).await.unwrap();
                guests.spawn(async move { copy_bidirectional(&mut client, &mut server).await });
            } else {
                door.turned_away.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    address
}

#[tokio::test]
async fn a_service_waits_for_the_database_that_has_the_map_and_a_command_does_not() {
    let databases = &support::fixture().await.databases;
    let (a, b) = databases.shards.split_once(',').unwrap();
    let (user, rest) = a.split_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    let door = Arc::new(Door::default());
    let mut porter = JoinSet::new();
    let address = door_to(server.to_owned(), Arc::clone(&door), &mut porter).await;
    let shards = format!("--shards={user}@{address}/{database},{b}");
    let settings = support::settings_with(&[&shards, "--replicas=", "--direct="]).await;
    let (chassis, _) = support::chassis("order", &settings).await;
    let (commands, _) = support::chassis("order", &settings).await;

    let command = Cluster::<UserId>::connect_at_once(&commands, &settings.storage).await;
    let service = Cluster::<UserId>::connect(&chassis, &settings.storage);
    let turned_away = door.turned_away.load(Ordering::Relaxed);
    let opening = async {
        testkit::eventually(Duration::from_secs(10), async || {
            (door.turned_away.load(Ordering::Relaxed) > turned_away).then_some(())
        })
        .await;
        door.is_open.store(true, Ordering::Relaxed);
    };
    let (service, ()) = tokio::join!(service, opening);

    assert!(matches!(command.err(), Some(Error::ShardDown { .. })));
    let of_shard_a = UserId::new(Slot::new(6).unwrap());
    let tx = service.unwrap().begin(&of_shard_a).await;
    tx.unwrap().rollback().await;
}

#[tokio::test]
async fn a_service_that_waits_ends_when_it_is_told_to() {
    let shards = "--shards=a=postgres://order@127.0.0.1:1/order";
    let settings = support::settings_with(&[shards, "--replicas=", "--direct="]).await;
    let (chassis, _) = support::chassis("order", &settings).await;
    chassis.shutdown().cancel();

    let ended = Cluster::<UserId>::connect(&chassis, &settings.storage).await;

    assert!(matches!(ended.err(), Some(Error::ShardDown { .. })));
}

#[tokio::test]
async fn a_shard_that_is_down_leaves_the_other_alone() {
    let databases = &support::fixture().await.databases;
    let (a, b) = databases.shards.split_once(',').unwrap();
    let (_, b_database) = b.rsplit_once('/').unwrap();
    let cluster = support::cluster_with(&[
        &format!("--shards={a},b=postgres://order@127.0.0.1:1/{b_database}"),
        "--replicas=",
        "--direct=",
    ])
    .await;

    let down = cluster.begin(&UserId::new(Slot::new(900).unwrap())).await;
    let again_at = Instant::now();
    let again = cluster.begin(&UserId::new(Slot::new(900).unwrap())).await;
    let refused_within = again_at.elapsed();
    let other = cluster.begin(&UserId::new(Slot::new(6).unwrap())).await;

    assert!(matches!(down, Err(Error::ShardDown { .. })));
    assert!(matches!(again, Err(Error::ShardDown { .. })));
    assert!(refused_within < Duration::from_millis(100));
    other.unwrap().rollback().await;
}

#[tokio::test]
async fn connections_that_the_server_closed_are_replaced_unseen() {
    let cluster = support::cluster().await;
    let user = UserId::new(Slot::draw());
    cluster.begin(&user).await.unwrap().rollback().await;
    let mut once = cluster.shard(&user).primary_once().await.unwrap();
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut once)
        .await
        .unwrap();
    drop(once);
    // The service's role may end its own backends.
    let killed = async || {
        let mut once = cluster.shard(&user).primary_once().await.ok()?;
        let other: bool =
            sqlx::query_scalar("select pg_backend_pid() <> $1 and pg_terminate_backend($1)")
                .bind(backend)
                .fetch_one(&mut once)
                .await
                .ok()?;
        other.then_some(())
    };
    let held = cluster.begin(&user).await;
    testkit::eventually(Duration::from_secs(5), killed).await;
    drop(held);

    let opened = cluster.begin(&user).await;

    opened.unwrap().rollback().await;
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let settings = support::settings(&support::flags().await);

    let again = tokio::join!(
        support::migrate(&settings.storage),
        support::migrate(&settings.storage)
    );

    assert!(again.0.is_ok() && again.1.is_ok(), "{again:?}");
}

#[tokio::test]
async fn a_program_that_is_rolled_back_accepts_the_newer_schema() {
    let settings = support::settings(&support::flags().await);
    let before_notes = Migrator::with_migrations(Vec::new());

    let migrated = storage::migrate(
        "order",
        &settings.storage,
        &[
            ("storage_migrations", &storage::MIGRATIONS),
            ("notes_migrations", &before_notes),
        ],
    )
    .await;

    assert!(migrated.is_ok(), "{migrated:?}");
}
