use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Execute, Executor, Postgres, SqlSafeStr, SqlStr};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Span;
use tracing::field::Empty;

use crate::error::is_connection_failure;
use crate::metrics::Counted;
use crate::pool::Pool;

/// What a session does with its connection when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// Nothing is open on it: back to the pool.
    Return,
    /// Back to the pool after a rollback.
    RollBack,
    /// Its state is unknown: it is closed, which the server answers with a rollback.
    Close,
}

/// A leased connection; each round trip on it is measured and is one span.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) at_end: AtEnd,
    /// Whether a statement failed, after which PostgreSQL turns a commit into a silent rollback.
    pub(crate) failed: bool,
    pub(crate) pool: Arc<Pool>,
    /// Taken by `drop` only.
    lease: Option<Lease>,
}

/// The permit is given back after the connection.
#[derive(Debug)]
struct Lease {
    connection: PoolConnection<Postgres>,
    _permit: (OwnedSemaphorePermit, Counted),
}

impl Session {
    pub(crate) fn new(
        pool: &Arc<Pool>,
        connection: PoolConnection<Postgres>,
        permit: (OwnedSemaphorePermit, Counted),
    ) -> Self {
        Self {
            at_end: AtEnd::Return,
            failed: false,
            pool: Arc::clone(pool),
            lease: Some(Lease {
                connection,
                _permit: permit,
            }),
        }
    }

    /// Sends statements without parameters in one message and collects the rows of all of them.
    pub(crate) async fn exchange(
        &mut self,
        name: &'static str,
        sql: SqlStr,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let (connection, mut round_trip) = self.round_trip(name, sql.as_str());
        connection
            .fetch_many(sqlx::raw_sql(sql))
            .try_filter_map(|step| async move { Ok(step.right()) })
            .inspect_err(|error| round_trip.fail(error))
            .try_collect()
            .await
    }

    /// Ends the transaction without effect. Where that fails the connection is closed, to the same end.
    pub(crate) async fn roll_back(&mut self) {
        self.at_end = AtEnd::Close;
        if self
            .exchange("db.rollback", "rollback".into_sql_str())
            .await
            .is_ok()
        {
            self.at_end = AtEnd::Return;
        }
    }

    pub(crate) fn fetch_many<'e, 'q: 'e, E>(
        &'e mut self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Query::from(query);
        let (connection, mut round_trip) = self.round_trip("db.query", query.sql.as_str());
        connection
            .fetch_many(query)
            .inspect_err(move |error| round_trip.fail(error))
            .boxed()
    }

    pub(crate) fn fetch_optional<'e, 'q: 'e, E>(
        &'e mut self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Query::from(query);
        let (connection, mut round_trip) = self.round_trip("db.query", query.sql.as_str());
        let row = connection.fetch_optional(query);
        Box::pin(async move { row.await.inspect_err(|error| round_trip.fail(error)) })
    }

    pub(crate) fn prepare_with<'e>(
        &'e mut self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>> {
        self.round_trip("db.prepare", sql.as_str())
            .0
            .prepare_with(sql, parameters)
    }

    pub(crate) fn describe(
        &mut self,
        sql: SqlStr,
    ) -> BoxFuture<'_, Result<Describe<Postgres>, sqlx::Error>> {
        self.round_trip("db.describe", sql.as_str()).0.describe(sql)
    }

    fn round_trip(&mut self, name: &'static str, sql: &str) -> (&mut PgConnection, RoundTrip<'_>) {
        let Some(lease) = &mut self.lease else {
            unreachable!("only drop takes the lease");
        };
        let round_trip = RoundTrip {
            span: span(name, sql, &self.pool),
            started: Instant::now(),
            pool: &self.pool,
            at_end: &mut self.at_end,
            failed: &mut self.failed,
        };
        (&mut lease.connection, round_trip)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(mut lease) = self.lease.take() else {
            return;
        };
        match self.at_end {
            AtEnd::Return => {}
            AtEnd::Close => lease.connection.close_on_drop(),
            AtEnd::RollBack => {
                let mut session = Self {
                    at_end: AtEnd::Close,
                    failed: false,
                    pool: Arc::clone(&self.pool),
                    lease: Some(lease),
                };
                self.pool.chassis.tasks().spawn(async move {
                    session.roll_back().await;
                });
            }
        }
    }
}

/// From a statement's sending to the end of its answer.
struct RoundTrip<'a> {
    span: Span,
    started: Instant,
    pool: &'a Pool,
    at_end: &'a mut AtEnd,
    failed: &'a mut bool,
}

impl RoundTrip<'_> {
    fn fail(&mut self, error: &sqlx::Error) {
        *self.failed = true;
        self.span.record("otel.status_code", "ERROR");
        if let Some(code) = error.as_database_error().and_then(|error| error.code()) {
            self.span.record("db.response.status_code", code.as_ref());
        }
        if is_connection_failure(error) {
            *self.at_end = AtEnd::Close;
            self.pool.note_failure();
        }
    }
}

impl Drop for RoundTrip<'_> {
    fn drop(&mut self) {
        let seconds = self.started.elapsed().as_secs_f64();
        let exemplar = chassis::trace::exemplar();
        self.pool.query_seconds.observe(seconds, exemplar, None);
    }
}

/// Nothing is traced that nobody asked for: the polls of workers have no span around them.
fn span(name: &'static str, sql: &str, pool: &Pool) -> Span {
    if !chassis::trace::is_recording() {
        return Span::none();
    }
    tracing::info_span!(
        "db.query",
        otel.name = name,
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = "postgresql",
        db.query.text = sql,
        db.response.status_code = Empty,
        shard = &*pool.shard,
        role = pool.role.as_str(),
        order.id = chassis::telemetry::order_id(),
    )
}

/// A query taken apart, so that its text can be read before it is run.
struct Query {
    sql: SqlStr,
    statement: Option<PgStatement>,
    arguments: Option<Result<Option<PgArguments>, BoxDynError>>,
    persistent: bool,
}

impl Query {
    fn from<'q>(mut query: impl Execute<'q, Postgres>) -> Self {
        Self {
            statement: query.statement().cloned(),
            arguments: Some(query.take_arguments()),
            persistent: query.persistent(),
            sql: query.sql(),
        }
    }
}

impl Execute<'_, Postgres> for Query {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.statement.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.arguments.take().unwrap_or(Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}
