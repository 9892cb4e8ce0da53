//! The helpers themselves, on real servers.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use testkit::{Databases, Fixture, Service, eventually, fixture};

async fn migrate(databases: Databases) -> anyhow::Result<()> {
    for dsn in databases.direct.split(',') {
        let (_, url) = dsn.split_once('=').unwrap();
        let mut owner = PgConnection::connect(url).await?;
        sqlx::query("create table notes (id bigint generated always as identity, note text)")
            .execute(&mut owner)
            .await?;
        owner.close().await?;
    }
    Ok(())
}

async fn notes() -> &'static Fixture {
    fixture(Service::Order, migrate).await
}

async fn connect(dsns: &str) -> PgConnection {
    let (_, url) = dsns.split(',').next().unwrap().split_once('=').unwrap();
    PgConnection::connect(url).await.unwrap()
}

#[tokio::test]
async fn a_row_reaches_the_replica_late_but_surely() {
    let fixture = notes().await;
    let mut primary = connect(&fixture.databases.shards).await;
    let mut replica = connect(&fixture.databases.replicas).await;
    let count = "select count(*) from notes where note = 'late'";

    sqlx::query("insert into notes (note) values ('late')")
        .execute(&mut primary)
        .await
        .unwrap();
    let at_once: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut replica)
        .await
        .unwrap();
    let replica = tokio::sync::Mutex::new(replica);
    let in_the_end = eventually(Duration::from_secs(10), async || {
        let mut replica = replica.lock().await;
        let found: i64 = sqlx::query_scalar(count)
            .fetch_one(&mut *replica)
            .await
            .unwrap();
        (found == 1).then_some(found)
    })
    .await;

    assert_eq!((at_once, in_the_end), (0, 1));
}

#[tokio::test]
async fn the_service_role_may_change_rows_but_not_tables() {
    let fixture = notes().await;
    let mut primary = connect(&fixture.databases.shards).await;

    let row = sqlx::query("insert into notes (note) values ('mine')")
        .execute(&mut primary)
        .await;
    let table = sqlx::query("drop table notes").execute(&mut primary).await;

    assert!(row.is_ok());
    assert!(table.is_err());
}
