//! Databases are copied from a migrated template, which costs less than migrating each.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use devstack::platform::{Names, Platform};
use devstack::postgres::psql;
use devstack::service::{Service, Shard};
use devstack::wait;
use futures::future::try_join_all;
use tokio::sync::OnceCell;

use crate::names;
use crate::servers::locked;

/// How long a replica may stand still. How long it replays is not limited: a busy disk takes its
/// time for the hundreds of files of each database.
const STANDSTILL_LIMIT: Duration = Duration::from_secs(20);

static ABANDONED_ARE_DROPPED: OnceCell<()> = OnceCell::const_new();

/// Makes the service's databases under `platform`'s names on both pairs, replicas included.
///
/// `migrate` is the work of the program `migrator`; it gets the platform with the template's names.
pub(crate) async fn create(
    servers: &Platform,
    platform: &Platform,
    service: Service,
    migrator: &Path,
    migrate: impl AsyncFnOnce(Platform) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    ABANDONED_ARE_DROPPED
        .get_or_try_init(|| drop_abandoned(platform))
        .await?;
    let template = Template::of(service, migrator)?;
    let lock = servers.home.run().join(format!("{service}-template.lock"));
    let lock = locked(File::create(lock)?, File::lock).await?;
    if !is_sealed(platform, &template.name).await? {
        make_template(platform, service, &template, migrate).await?;
    }
    drop(lock);
    let database = platform.database(service);
    let names = [
        ("service", service.name()),
        ("template", &template.name),
        ("database", &database),
    ];
    let copies = Shard::ALL.map(|shard| async move {
        let primary = platform.ports.primary(shard);
        let position = psql(primary, &names, include_str!("../assets/database.sql")).await?;
        replayed(platform, shard, position.trim()).await
    });
    try_join_all(copies).await?;
    Ok(())
}

async fn make_template(
    platform: &Platform,
    service: Service,
    template: &Template,
    migrate: impl AsyncFnOnce(Platform) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let names = [
        ("service", service.name()),
        ("template", &template.name),
        ("program", &template.program),
    ];
    for shard in Shard::ALL {
        let primary = platform.ports.primary(shard);
        psql(primary, &names, include_str!("../assets/template.sql")).await?;
    }
    let mut at_template = platform.clone();
    at_template.names = Names {
        database_suffix: template.name.trim_start_matches(service.name()).to_owned(),
        prefix: String::new(),
    };
    migrate(at_template).await?;
    for shard in Shard::ALL {
        let primary = platform.ports.primary(shard);
        psql(primary, &names, include_str!("../assets/seal.sql")).await?;
    }
    Ok(())
}

/// An unsealed one is what an interrupted test left.
async fn is_sealed(platform: &Platform, template: &str) -> anyhow::Result<bool> {
    const SEALED: &str = "select count(*) from pg_database \
                          where datname = :'template' and datistemplate";
    for shard in Shard::ALL {
        let found = psql(
            platform.ports.primary(shard),
            &[("template", template)],
            SEALED,
        )
        .await?;
        if found.trim() != "1" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns when the replica has a database that the primary made.
async fn replayed(platform: &Platform, shard: Shard, position: &str) -> anyhow::Result<()> {
    const REPLAYED: &str = "select pg_last_wal_replay_lsn()";
    const REACHED: &str = "select pg_last_wal_replay_lsn() >= :'position', \
                           wait_event_type, wait_event \
                           from pg_stat_activity where backend_type = 'startup'";
    let replica = platform.ports.replica(shard);
    let mut last = String::new();
    loop {
        let reached = wait::until("the replica", STANDSTILL_LIMIT, async || {
            let reached = psql(replica, &[("position", position)], REACHED).await?;
            if !reached.starts_with('t') {
                bail!("it has not replayed {position}: {}", reached.trim());
            }
            Ok(())
        });
        let Err(error) = reached.await else {
            return Ok(());
        };
        let replayed = psql(replica, &[], REPLAYED).await?;
        if replayed == last {
            return Err(error.context(format!("it stands still at {}", last.trim())));
        }
        last = replayed;
    }
}

/// Drops the databases of test binaries that have ended.
async fn drop_abandoned(platform: &Platform) -> anyhow::Result<()> {
    const ALL: &str = "select datname from pg_database";
    const DROP: &str = r#"drop database if exists :"database" with (force)"#;
    let drops = Shard::ALL.map(|shard| async move {
        let primary = platform.ports.primary(shard);
        let databases = psql(primary, &[], ALL).await?;
        for database in databases.lines().filter(|name| names::is_abandoned(name)) {
            // Another test binary may be dropping it too.
            let _ = psql(primary, &[("database", database)], DROP).await;
        }
        anyhow::Ok(())
    });
    try_join_all(drops).await?;
    Ok(())
}

/// A template is good for the one build of the program that made it.
struct Template {
    name: String,
    /// What the names for other builds of the program begin with.
    program: String,
}

impl Template {
    fn of(service: Service, migrator: &Path) -> anyhow::Result<Self> {
        let build = fs::metadata(migrator)?;
        let program = format!("{service}_{:08x}_", hash(migrator));
        let name = format!("{program}{:08x}", hash((build.modified()?, build.len())));
        Ok(Self { name, program })
    }
}

fn hash(value: impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    // Half of it: a name has 63 bytes.
    (hasher.finish() >> 32) as u32
}
