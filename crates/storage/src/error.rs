use std::sync::Arc;

use chassis::fault;
use tonic::{Code, Status};
use types::Slot;

/// Why storage could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The slot is being moved; nothing was written.
    #[error("slot {0} is fenced")]
    SlotFenced(Slot),
    /// The shard cannot be reached; nothing was written.
    #[error("shard {shard} cannot be reached")]
    ShardDown {
        shard: Arc<str>,
        #[source]
        source: Option<sqlx::Error>,
    },
    /// The commit was sent and not answered. The caller repeats under its idempotency key.
    #[error("the outcome of a commit is unknown")]
    CommitUnknown,
    /// Every connection is in use, or the deadline is too near to wait for one.
    #[error("no free connection to shard {shard}")]
    Busy { shard: Arc<str> },
    /// A commit was asked for after a statement had failed; nothing was written.
    #[error("a statement of the transaction failed before its commit")]
    Failed,
    #[error("the database refused a statement")]
    Database(#[from] sqlx::Error),
    #[error("migrations failed on shard {shard}")]
    Migrate {
        shard: Arc<str>,
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    #[error("Redis cannot be set up")]
    Redis(#[from] fred::error::Error),
    /// A setting or the slot map makes no sense; the process must not start.
    #[error("{0}")]
    Setting(String),
}

impl Error {
    /// The constraint or unique index that a statement ran into.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.constraint(),
            _ => None,
        }
    }

    /// Whether the database did not answer, which it may do later.
    pub(crate) fn is_out_of_reach(&self) -> bool {
        match self {
            Self::ShardDown { source, .. } => source.as_ref().is_none_or(is_connection_failure),
            Self::Database(cause) => is_connection_failure(cause),
            _ => false,
        }
    }
}

/// Whether the connection is of no more use, and others to the same server may not be either.
pub(crate) fn is_connection_failure(error: &sqlx::Error) -> bool {
    // Read-only (25006) is what a primary becomes when another one was promoted.
    const CODES: [&str; 5] = ["57P01", "57P02", "57P03", "25006", "55000"];
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code.starts_with("08") || CODES.contains(&code.as_ref())),
        _ => false,
    }
}

/// Whether the same transaction may well succeed when it is tried again: it was cancelled, lost to
/// another one, or met a database short of resources.
fn is_passing(error: &sqlx::Error) -> bool {
    const QUERY_CANCELED: &str = "57014";
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| {
        ["40", "53"].iter().any(|class| code.starts_with(class))
            || [QUERY_CANCELED, LOCK_NOT_AVAILABLE].contains(&code.as_ref())
    })
}

/// Whether a text holds U+0000, which PostgreSQL cannot keep.
fn is_unfit_text(error: &sqlx::Error) -> bool {
    const CHARACTER_NOT_IN_REPERTOIRE: &str = "22021";
    const UNTRANSLATABLE_CHARACTER: &str = "22P05";
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| {
        [CHARACTER_NOT_IN_REPERTOIRE, UNTRANSLATABLE_CHARACTER].contains(&code.as_ref())
    })
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let refuse_with = |code, reason| fault::refuse(code, reason, error.to_string(), &[]);
        let refuse = |reason| refuse_with(Code::Unavailable, reason);
        match &error {
            // Not UNAVAILABLE, which is repeated: a crowd must not grow by its own repetitions.
            Error::Busy { .. } => refuse_with(Code::ResourceExhausted, "SHARD_BUSY"),
            Error::SlotFenced(_) => refuse("SLOT_FENCED"),
            Error::ShardDown { .. } => refuse("SHARD_DOWN"),
            Error::CommitUnknown => refuse("COMMIT_UNKNOWN"),
            Error::Database(cause) if is_connection_failure(cause) => {
                tracing::warn!(error = cause as &dyn std::error::Error, "lost a database");
                refuse("SHARD_DOWN")
            }
            Error::Database(cause) if is_unfit_text(cause) => {
                Status::invalid_argument("a text holds the character U+0000")
            }
            Error::Database(cause) if is_passing(cause) => {
                tracing::warn!(
                    error = cause as &dyn std::error::Error,
                    "a statement gave up"
                );
                Status::unavailable("the database is overloaded")
            }
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "storage failed");
                Status::internal("storage failed")
            }
        }
    }
}
