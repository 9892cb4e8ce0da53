use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::config::{Databases, ShardDatabases};
use crate::{Config, Error};

/// The tables of this crate.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// How long another `migrate` on the same shard is waited for.
const TURN_WAIT: Duration = Duration::from_secs(120);

/// The pause between two tries to get the turn, or a table's lock.
const PAUSE: Duration = Duration::from_millis(200);

/// How often a migration is tried that meets a lock for longer than its `lock_timeout`.
const TRIES_MAX: u32 = 10;

/// Brings every shard to the given migrations, each with the name of its own history table;
/// [`MIGRATIONS`] come first. Writes the first slot map, an even spread, where there is none.
///
/// The service's role, which the setting `shards` names, gets its rights on every table.
pub async fn migrate(
    service: &str,
    config: &Config,
    migrations: &[(&'static str, &Migrator)],
) -> Result<(), Error> {
    let mut databases = Databases::parse(config)?;
    for shard in &mut databases.shards {
        let direct = shard.direct.clone();
        shard.direct = direct.application_name(&format!("{service} migrate"));
    }
    // One shard after the other: a migration that fails has then touched one only.
    for shard in &databases.shards {
        let turn = Turn::take(shard).await?;
        let mut owner = shard.direct.connect().await?;
        grant_rights(&mut owner, shard).await?;
        for (history, migrator) in migrations {
            run(&mut owner, shard, history, migrator).await?;
        }
        owner.close().await?;
        turn.end().await?;
    }
    write_first_map(&databases).await
}

/// The right to migrate a shard: a lock in a transaction that is open meanwhile.
///
/// sqlx's own lock would do harm: whoever waits for it holds a snapshot, for which
/// `create index concurrently` waits in turn. This one is polled for.
struct Turn(PgConnection);

impl Turn {
    async fn take(shard: &ShardDatabases) -> Result<Self, Error> {
        let mut connection = shard.direct.connect().await?;
        let give_up_at = Instant::now() + TURN_WAIT;
        loop {
            sqlx::raw_sql("begin; set local idle_in_transaction_session_timeout = 0")
                .execute(&mut connection)
                .await?;
            let taken = sqlx::query_scalar::<_, bool>(
                "select pg_try_advisory_xact_lock(hashtextextended('storage.migrate', 0))",
            )
            .fetch_one(&mut connection)
            .await?;
            if taken {
                return Ok(Self(connection));
            }
            sqlx::raw_sql("rollback").execute(&mut connection).await?;
            if Instant::now() >= give_up_at {
                return Err(Error::Setting(format!(
                    "another `migrate` holds shard {}",
                    shard.name
                )));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn end(self) -> Result<(), Error> {
        Ok(self.0.close().await?)
    }
}

/// By default privileges, so that a later migration may take a right away for good.
async fn grant_rights(owner: &mut PgConnection, shard: &ShardDatabases) -> Result<(), Error> {
    let service_role = shard.primary.get_username();
    if service_role == shard.direct.get_username() {
        return Ok(());
    }
    sqlx::query("select set_config('storage.service_role', $1, false)")
        .bind(service_role)
        .execute(&mut *owner)
        .await?;
    // `alter` takes no parameters.
    sqlx::raw_sql(
        "do $$
        declare
            service_role text := current_setting('storage.service_role');
        begin
            execute format('grant usage on schema public to %I', service_role);
            execute format(
                'alter default privileges in schema public
                    grant select, insert, update, delete on tables to %I',
                service_role
            );
            execute format(
                'alter default privileges in schema public
                    grant usage, select on sequences to %I',
                service_role
            );
        end
        $$",
    )
    .execute(owner)
    .await?;
    Ok(())
}

async fn run(
    owner: &mut PgConnection,
    shard: &ShardDatabases,
    history: &'static str,
    migrations: &Migrator,
) -> Result<(), Error> {
    let mut migrator = Migrator::with_migrations(migrations.iter().cloned().collect());
    migrator.dangerous_set_table_name(history);
    migrator.set_locking(false);
    // A release that is rolled back meets the schema of the one after it.
    migrator.set_ignore_missing(true);
    sqlx::raw_sql("set lock_timeout = '2s'")
        .execute(&mut *owner)
        .await?;
    let mut tries = 1;
    loop {
        match migrator.run_direct(None, owner, false).await {
            Ok(()) => return Ok(()),
            Err(error) if tries < TRIES_MAX && is_lock_timeout(&error) => tries += 1,
            Err(source) => {
                return Err(Error::Migrate {
                    shard: shard.name.as_str().into(),
                    source,
                });
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    let code = error.as_database_error().and_then(|error| error.code());
    code.as_deref() == Some(LOCK_NOT_AVAILABLE)
}

async fn write_first_map(databases: &Databases) -> Result<(), Error> {
    let names: Vec<&str> = databases.shards.iter().map(|shard| &*shard.name).collect();
    let mut connection = databases.shards[0].direct.connect().await?;
    sqlx::query(
        "insert into slot_map (version, slot, shard, epoch)
        select
            1,
            slot,
            ($1::text[])[1 + slot * cardinality($1::text[]) / 1024],
            1
        from generate_series(0, 1023) as slots (slot)
        where not exists (select from slot_map)
        on conflict do nothing",
    )
    .bind(&names)
    .execute(&mut connection)
    .await?;
    let first_map = sqlx::query_as::<_, (i16, String)>(
        "select
            slot,
            shard
        from slot_map
        where version = 1
            and not exists (select from slot_map where version > 1)",
    )
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    for shard in &databases.shards {
        let slots = first_map.iter().filter(|(_, owner)| *owner == shard.name);
        let slots: Vec<i16> = slots.map(|(slot, _)| *slot).collect();
        write_owned_slots(&shard.direct, &slots).await?;
    }
    Ok(())
}

async fn write_owned_slots(shard: &PgConnectOptions, slots: &[i16]) -> Result<(), Error> {
    let mut connection = shard.connect().await?;
    sqlx::query(
        "insert into slot_owner (slot, state, epoch)
        select
            slot,
            'active',
            1
        from unnest($1::smallint[]) as slots (slot)
        on conflict do nothing",
    )
    .bind(slots)
    .execute(&mut connection)
    .await?;
    Ok(connection.close().await?)
}
