use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chassis::telemetry::Durations;
use chassis::{Chassis, deadline};
use prometheus_client::metrics::gauge::Gauge;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::{ConnectOptions, SqlStr};
use tokio::sync::Semaphore;

use crate::error::is_connection_failure;
use crate::metrics::{ConnectionLabels, Counted, DatabaseLabels, Metrics, Reads};
use crate::session::{AtEnd, Session};
use crate::{Config, Error};

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// How long callers are refused at once after a connection could not be made.
const REFUSAL: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Primary,
    Replica,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

/// The connections to one database, their limit and what they are measured by.
pub(crate) struct Pool {
    pub(crate) shard: Arc<str>,
    pub(crate) role: Role,
    pub(crate) chassis: Chassis,
    pub(crate) query_seconds: Durations,
    pub(crate) reads: Reads,
    connections: PgPool,
    size: usize,
    permits: Arc<Semaphore>,
    wait: Duration,
    health: Arc<Health>,
    in_use: Gauge,
    idle: Gauge,
    waiting: Gauge,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} {})", self.shard, self.role.as_str())
    }
}

impl Pool {
    pub(crate) fn new(
        chassis: &Chassis,
        config: &Config,
        metrics: &Metrics,
        (shard, role): (&Arc<str>, Role),
        database: PgConnectOptions,
    ) -> Arc<Self> {
        let gauge = |state| {
            let labels = ConnectionLabels {
                shard: shard.to_string(),
                role: role.as_str(),
                state,
            };
            metrics.connections.get_or_create_owned(&labels)
        };
        gauge("max").inc_by(i64::from(config.pool_size));
        let labels = DatabaseLabels {
            shard: shard.to_string(),
            role: role.as_str(),
        };
        let health = Arc::new(Health::default());
        let wait = Duration::from_millis(config.pool_wait_ms);
        Arc::new(Self {
            shard: Arc::clone(shard),
            role,
            chassis: chassis.clone(),
            query_seconds: metrics.query_seconds.get_or_create_owned(&labels),
            reads: Reads::new(metrics, shard, role.as_str()),
            connections: connections(chassis, config, &health, database),
            size: config.pool_size as usize,
            permits: Arc::new(Semaphore::new(config.pool_size as usize)),
            wait,
            health,
            in_use: gauge("in_use"),
            idle: gauge("idle"),
            waiting: gauge("waiting"),
        })
    }

    /// A connection, waited for no longer than the setting and the caller's deadline allow.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Result<Session, Error> {
        if self.health.refuses() {
            return Err(self.down(None));
        }
        let waiting = Counted::one_in(&self.waiting);
        let queue = Arc::clone(&self.permits).acquire_owned();
        let permit = tokio::time::timeout(self.patience(), queue).await;
        drop(waiting);
        let Ok(Ok(permit)) = permit else {
            return Err(Error::Busy {
                shard: Arc::clone(&self.shard),
            });
        };
        match self.connections.acquire().await {
            Ok(connection) => {
                let in_use = Counted::one_in(&self.in_use);
                Ok(Session::new(self, connection, (permit, in_use)))
            }
            Err(error) => {
                self.health.refuse();
                Err(self.down(Some(error)))
            }
        }
    }

    /// Three quarters of what is left to the request, so that the work, or the refusal, is in time.
    fn patience(&self) -> Duration {
        deadline::remaining().map_or(self.wait, |left| self.wait.min(left * 3 / 4))
    }

    /// A connection on which `opening` has been run, with the rows that it returned. A pooled
    /// connection that turns out to be dead is replaced once.
    pub(crate) async fn open(
        self: &Arc<Self>,
        opening: SqlStr,
    ) -> Result<(Session, Vec<PgRow>), Error> {
        let mut replaced = false;
        loop {
            let mut session = self.acquire().await?;
            session.at_end = AtEnd::Close;
            match session.exchange("db.begin", opening.clone()).await {
                Ok(rows) => {
                    session.at_end = AtEnd::RollBack;
                    return Ok((session, rows));
                }
                Err(error) if !is_connection_failure(&error) => {
                    session.at_end = AtEnd::RollBack;
                    return Err(Error::Database(error));
                }
                Err(error) if replaced => return Err(self.down(Some(error))),
                Err(_) => replaced = true,
            }
        }
    }

    /// How many connections there may be.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Connections that are open and lent to nobody.
    pub(crate) fn measure_idle(&self) {
        self.idle.set(self.connections.num_idle() as i64);
    }

    /// Connections older than this moment are not used again.
    pub(crate) fn note_failure(&self) {
        self.health.fail();
    }

    fn down(&self, source: Option<sqlx::Error>) -> Error {
        Error::ShardDown {
            shard: Arc::clone(&self.shard),
            source,
        }
    }
}

fn connections(
    chassis: &Chassis,
    config: &Config,
    health: &Arc<Health>,
    database: PgConnectOptions,
) -> PgPool {
    let statement_timeout = config.statement_timeout_ms.to_string();
    let database = database
        .application_name(chassis.service())
        .options([
            ("statement_timeout", statement_timeout.as_str()),
            // A transaction whose process hangs must not hold its slot's lock for long.
            ("idle_in_transaction_session_timeout", "15000"),
        ])
        .disable_statement_logging();
    let health = Arc::clone(health);
    PgPoolOptions::new()
        .max_connections(config.pool_size)
        .acquire_timeout(CONNECT_WITHIN)
        .idle_timeout(None)
        .test_before_acquire(false)
        .before_acquire(move |_, connection| {
            let sound = health.is_newer_than_failure(connection.age);
            Box::pin(async move { Ok(sound) })
        })
        .connect_lazy_with(database)
}

/// When the database was last found out of reach.
#[derive(Debug, Default)]
struct Health(Mutex<Times>);

#[derive(Debug, Default)]
struct Times {
    failed_at: Option<Instant>,
    refuse_until: Option<Instant>,
}

impl Health {
    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self) {
        self.times().failed_at = Some(Instant::now());
    }

    fn refuse(&self) {
        let now = Instant::now();
        *self.times() = Times {
            failed_at: Some(now),
            refuse_until: Some(now + REFUSAL),
        };
    }

    fn refuses(&self) -> bool {
        self.times()
            .refuse_until
            .is_some_and(|until| Instant::now() < until)
    }

    fn is_newer_than_failure(&self, age: Duration) -> bool {
        self.times()
            .failed_at
            .is_none_or(|failed_at| age < failed_at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_from_before_a_failure_are_not_used_again() {
        let health = Health::default();
        assert!(health.is_newer_than_failure(Duration::from_secs(60)));

        health.fail();

        assert!(!health.is_newer_than_failure(Duration::from_secs(60)));
    }

    #[test]
    fn callers_are_refused_for_a_while_after_a_failed_connect() {
        let health = Health::default();
        assert!(!health.refuses());

        health.refuse();

        assert!(health.refuses());
    }
}
