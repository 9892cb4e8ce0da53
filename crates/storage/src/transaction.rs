use std::sync::Arc;
use std::time::Duration;

use chassis::consistency::Position;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{AssertSqlSafe, Describe, Either, Execute, Executor, Postgres, Row, SqlSafeStr, SqlStr};
use types::Slot;

use crate::error::is_connection_failure;
use crate::pool::Pool;
use crate::session::{AtEnd, Session};
use crate::{Error, Shard};

/// How long a commit is waited for. It hangs while a synchronous standby is away.
const COMMIT_WAIT: Duration = Duration::from_secs(2);

/// The position is read after the commit: read before, it would lie before the commit's own record.
const COMMIT: &str = "commit; select \
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint as lsn, \
    left(pg_walfile_name(pg_current_wal_lsn()), 8) as timeline";

/// The data is fixed by the first `select`, so the position is not older than the data.
const OPEN_ON_PRIMARY: &str = "begin isolation level repeatable read read only; select \
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint as lsn, \
    left(pg_walfile_name(pg_current_wal_lsn()), 8) as timeline";

/// Two positions: the data is not older than the first, and not newer than the second.
const OPEN_ON_REPLICA: &str = "begin read only; select \
    pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint as lsn; commit; \
    begin isolation level repeatable read read only; select \
    pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint as lsn, \
    (select lpad(to_hex(received_tli), 8, '0') from pg_stat_wal_receiver) as timeline";

/// A write transaction behind its slot's guard. Dropped unfinished, it closes its connection.
#[derive(Debug)]
pub struct WriteTx {
    session: Session,
    shard: Shard,
    slot: Slot,
    signal: bool,
}

impl WriteTx {
    /// The guard runs in the message that opens the transaction. Folded into a statement it would be
    /// skipped whenever that statement matched no row.
    pub(crate) async fn begin(shard: Shard, slot: Slot, epoch: i64) -> Result<Self, Error> {
        // Two numbers: nothing in this text comes from outside.
        let opening = AssertSqlSafe(format!(
            "begin; select slot_guard({slot}::smallint, {epoch})"
        ));
        match shard.primary_pool().open(opening.into_sql_str()).await {
            Ok((mut session, _)) => {
                session.at_end = AtEnd::Close;
                Ok(Self {
                    session,
                    shard,
                    slot,
                    signal: false,
                })
            }
            Err(Error::Database(sqlx::Error::Database(error)))
                if error.code().as_deref() == Some("SH001") =>
            {
                Err(Error::SlotFenced(slot))
            }
            Err(error) => Err(error),
        }
    }

    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Wakes who waits in [`Shard::signalled`] once this is committed.
    pub fn signal_on_commit(&mut self) {
        self.signal = true;
    }

    /// Answers with the position from which the change can be read; the caller's context has
    /// observed it.
    ///
    /// After two seconds without an answer the outcome is unknown: the commit is never cancelled,
    /// because PostgreSQL reports a commit that was cancelled as a success.
    pub async fn commit(mut self) -> Result<Position, Error> {
        let row = commit(&mut self.session).await?;
        let position = self
            .shard
            .observe(timeline(&row)?.unwrap_or_default(), lsn(&row)?);
        if self.signal {
            self.shard.signal();
        }
        Ok(position)
    }

    pub async fn rollback(mut self) {
        self.session.roll_back().await;
    }
}

/// A write transaction without a slot's guard.
#[derive(Debug)]
pub struct UnguardedTx {
    session: Session,
}

impl UnguardedTx {
    pub(crate) async fn begin(shard: &Shard) -> Result<Self, Error> {
        let (mut session, _) = shard.primary_pool().open("begin".into_sql_str()).await?;
        session.at_end = AtEnd::Close;
        Ok(Self { session })
    }

    /// As [`WriteTx::commit`], without a position.
    pub async fn commit(mut self) -> Result<(), Error> {
        commit(&mut self.session).await.map(drop)
    }

    pub async fn rollback(mut self) {
        self.session.roll_back().await;
    }
}

async fn commit(session: &mut Session) -> Result<PgRow, Error> {
    if session.failed {
        session.roll_back().await;
        return Err(Error::Failed);
    }
    let answer = session.exchange("db.commit", COMMIT.into_sql_str());
    match tokio::time::timeout(COMMIT_WAIT, answer).await {
        Ok(Ok(mut rows)) => {
            session.at_end = AtEnd::Return;
            rows.pop().ok_or(Error::CommitUnknown)
        }
        Ok(Err(error)) if !is_connection_failure(&error) => Err(Error::Database(error)),
        Ok(Err(_)) | Err(_) => Err(Error::CommitUnknown),
    }
}

/// A read-only transaction whose statements all see the same data.
#[derive(Debug)]
pub struct Snapshot {
    session: Session,
}

/// A replica's snapshot and where its data lies.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) snapshot: Snapshot,
    /// The data is not older than this.
    pub(crate) at_least: u64,
    /// The data is not newer than this.
    pub(crate) at_most: u64,
    /// Absent while the replica receives nothing.
    pub(crate) timeline: Option<u32>,
}

impl Snapshot {
    pub(crate) async fn of_primary(shard: &Shard) -> Result<Self, Error> {
        let (session, rows) = shard
            .primary_pool()
            .open(OPEN_ON_PRIMARY.into_sql_str())
            .await?;
        if let Some(row) = rows.first() {
            shard.observe(timeline(row)?.unwrap_or_default(), lsn(row)?);
        }
        Ok(Self { session })
    }
}

impl Replayed {
    pub(crate) async fn open(pool: &Arc<Pool>) -> Result<Self, Error> {
        let (session, rows) = pool.open(OPEN_ON_REPLICA.into_sql_str()).await?;
        let [before, after] = rows.as_slice() else {
            return Err(Error::Database(sqlx::Error::RowNotFound));
        };
        Ok(Self {
            snapshot: Snapshot { session },
            at_least: lsn(before)?,
            at_most: lsn(after)?,
            timeline: timeline(after)?,
        })
    }
}

/// A connection outside a transaction.
#[derive(Debug)]
pub struct Autocommit {
    session: Session,
}

impl Autocommit {
    pub(crate) async fn on(pool: &Arc<Pool>) -> Result<Self, Error> {
        let session = pool.acquire().await?;
        Ok(Self { session })
    }
}

fn lsn(row: &PgRow) -> Result<u64, Error> {
    Ok(row.try_get::<i64, _>("lsn")?.cast_unsigned())
}

fn timeline(row: &PgRow) -> Result<Option<u32>, Error> {
    let hex = row.try_get::<Option<String>, _>("timeline")?;
    Ok(hex.and_then(|hex| u32::from_str_radix(&hex, 16).ok()))
}

macro_rules! execute_in_session {
    ($($transaction:ty),+) => {$(
        impl<'c> Executor<'c> for &'c mut $transaction {
            type Database = Postgres;

            fn fetch_many<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                self.session.fetch_many(query)
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                self.session.fetch_optional(query)
            }

            fn prepare_with<'e>(
                self,
                sql: SqlStr,
                parameters: &'e [PgTypeInfo],
            ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
            where
                'c: 'e,
            {
                self.session.prepare_with(sql, parameters)
            }

            fn describe<'e>(
                self,
                sql: SqlStr,
            ) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
            where
                'c: 'e,
            {
                self.session.describe(sql)
            }
        }
    )+};
}

execute_in_session!(WriteTx, UnguardedTx, Snapshot, Autocommit);
