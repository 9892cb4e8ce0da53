use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chassis::{Context, Need, Position};
use futures::future::join_all;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use types::Slot;

use crate::map::SlotMap;
use crate::metrics::{Metrics, Reads, ReplicaLabels, SlotLabels};
use crate::pool::Pool;
use crate::replica::{History, Replica};
use crate::{Autocommit, Error, Snapshot, UnguardedTx};

/// How long a read waits for a replica to catch up before it goes to the primary.
const REPLICA_PATIENCE: Duration = Duration::from_millis(20);

/// The pause between two looks at a replica that is behind.
const REPLICA_PAUSE: Duration = Duration::from_millis(5);

/// The states of slots that cannot be written to.
const INACTIVE: [&str; 3] = ["fenced", "importing", "moved"];

/// A physical database: one primary and its replicas. Clones are the same shard.
#[derive(Clone)]
pub struct Shard(Arc<Inner>);

struct Inner {
    index: usize,
    map: Arc<ArcSwap<SlotMap>>,
    primary: Arc<Pool>,
    replicas: Vec<Replica>,
    next_replica: AtomicUsize,
    history: History,
    signal: Notify,
    reactions: Arc<Semaphore>,
    metrics: Metrics,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shard({})", self.name())
    }
}

impl Shard {
    pub(crate) fn new(
        index: usize,
        map: &Arc<ArcSwap<SlotMap>>,
        primary: Arc<Pool>,
        replicas: Vec<Arc<Pool>>,
        metrics: &Metrics,
    ) -> Self {
        let reactions = (primary.size() / 2).max(1);
        Self(Arc::new(Inner {
            index,
            map: Arc::clone(map),
            primary,
            replicas: replicas.into_iter().map(Replica::new).collect(),
            next_replica: AtomicUsize::new(0),
            history: History::default(),
            signal: Notify::new(),
            reactions: Arc::new(Semaphore::new(reactions)),
            metrics: metrics.clone(),
        }))
    }

    pub fn name(&self) -> &str {
        &self.0.primary.shard
    }

    /// Whether the slot map names this shard as the slot's owner. An answer that was gathered from
    /// every shard keeps only such rows.
    pub fn owns(&self, slot: Slot) -> bool {
        self.0.map.load().owner(slot).shard == self.0.index
    }

    /// The slots that this shard owns, as column values for `slot = any($1)`.
    pub fn owned_slots(&self) -> Vec<i16> {
        let map = self.0.map.load();
        map.slots_of(self.0.index).map(Slot::to_db).collect()
    }

    /// A snapshot of the newest data. The caller's context has observed its position.
    pub async fn primary(&self) -> Result<Snapshot, Error> {
        self.read_primary(|reads| &reads.newest).await
    }

    async fn read_primary(&self, need: fn(&Reads) -> &Counter) -> Result<Snapshot, Error> {
        let snapshot = Snapshot::of_primary(self).await?;
        self.count_read(&self.0.primary, need);
        Ok(snapshot)
    }

    /// A snapshot from a replica that has replayed everything that the caller has written or seen;
    /// from the primary where no replica has. The caller's context has observed its position.
    pub async fn replica(&self) -> Result<Snapshot, Error> {
        let need = Context::current()
            .consistency
            .required(self.service(), self.name());
        let (found, need): (_, fn(&Reads) -> &Counter) = match need {
            Need::Primary => (None, |reads| &reads.seen),
            Need::Nothing => (self.find_replica(None).await?, |reads| &reads.any),
            Need::At(position) => (self.find_replica(Some(&position)).await?, |reads| {
                &reads.seen
            }),
        };
        match found {
            Some((replica, snapshot)) => {
                self.count_read(&replica.pool, need);
                Ok(snapshot)
            }
            None => self.read_primary(need).await,
        }
    }

    /// A connection to the primary for one statement outside a transaction: one round trip, but no
    /// position, so its answer is for sagas and workers and not for a client's eyes.
    pub async fn primary_once(&self) -> Result<Autocommit, Error> {
        let once = Autocommit::on(&self.0.primary).await?;
        self.count_read(&self.0.primary, |reads| &reads.newest);
        Ok(once)
    }

    /// A transaction without a slot's guard, for rows that stay where they are when a slot moves,
    /// such as the outbox.
    pub async fn begin_unguarded(&self) -> Result<UnguardedTx, Error> {
        UnguardedTx::begin(self).await
    }

    /// Returns after a commit of this process on this shard that had asked for it by
    /// [`WriteTx::signal_on_commit`](crate::WriteTx::signal_on_commit).
    pub async fn signalled(&self) {
        self.0.signal.notified().await;
    }

    /// Waits for one of the places for reactions to events, which are half as many as connections:
    /// a reaction that needs a second connection finds one, and so does a caller.
    pub async fn reaction_place(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed, so there always is one.
        Arc::clone(&self.0.reactions).acquire_owned().await.ok()
    }

    pub(crate) fn signal(&self) {
        self.0.signal.notify_one();
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.0.primary.shard)
    }

    pub(crate) fn service(&self) -> &'static str {
        self.0.primary.chassis.service()
    }

    pub(crate) fn primary_pool(&self) -> &Arc<Pool> {
        &self.0.primary
    }

    /// What the caller must see from now on.
    pub(crate) fn observe(&self, timeline: u32, lsn: u64) -> Position {
        let position = Position {
            service: self.service().to_owned(),
            shard: self.name().to_owned(),
            timeline,
            lsn,
            map_version: self.0.map.load().version,
        };
        Context::current().consistency.observe(position.clone());
        position
    }

    /// The polls of workers are nobody's reads.
    fn count_read(&self, pool: &Pool, need: fn(&Reads) -> &Counter) {
        if Context::is_of_caller(self.service()) {
            need(&pool.reads).inc();
        }
    }

    /// `None`: the primary has to answer. A replica that is merely busy is an error, lest a crowd of
    /// readers fall on the primary.
    async fn find_replica(
        &self,
        needed: Option<&Position>,
    ) -> Result<Option<(&Replica, Snapshot)>, Error> {
        let give_up_at = Instant::now() + REPLICA_PATIENCE;
        let Some(replica) = self.next_replica() else {
            return Ok(None);
        };
        loop {
            if needed.is_some_and(|at| !replica.may_reach(at.lsn, REPLICA_PATIENCE)) {
                return Ok(None);
            }
            let (replayed, timeline) = match replica.open().await {
                Ok((replayed, Some(timeline))) => (replayed, timeline),
                Ok((_, None)) => return Ok(None),
                Err(error @ Error::Busy { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(shard = self.name(), %error, "a replica leaves the rotation");
                    return Ok(None);
                }
            };
            // A position on another timeline may lie on a branch that the replica never saw.
            if needed.is_some_and(|at| at.timeline != timeline) {
                return Ok(None);
            }
            if needed.is_none_or(|at| replayed.at_least >= at.lsn) {
                self.observe(timeline, replayed.at_most);
                return Ok(Some((replica, replayed.snapshot)));
            }
            if Instant::now() + REPLICA_PAUSE > give_up_at {
                replica.note_lag(REPLICA_PATIENCE);
                return Ok(None);
            }
            tokio::time::sleep(REPLICA_PAUSE).await;
        }
    }

    /// Round robin over the replicas in rotation.
    fn next_replica(&self) -> Option<&Replica> {
        let replicas = &self.0.replicas;
        let first = self.0.next_replica.fetch_add(1, Ordering::Relaxed);
        (0..replicas.len())
            .map(|offset| &replicas[first.wrapping_add(offset) % replicas.len()])
            .find(|replica| replica.is_in_rotation())
    }

    /// Looks how far each replica is behind. A database that does not answer is tried again next time.
    pub(crate) async fn poll(&self) {
        if self.0.replicas.is_empty() {
            return;
        }
        if let Ok(lsn) = self.primary_lsn().await {
            self.0.history.add(lsn);
        }
        let polls = self
            .0
            .replicas
            .iter()
            .zip(0..)
            .map(|(replica, number)| async move {
                if let Some(lag) = replica.poll(&self.0.history).await {
                    let labels = ReplicaLabels {
                        shard: self.name().to_owned(),
                        replica: number,
                    };
                    let gauge = self.0.metrics.replica_lag_seconds.get_or_create(&labels);
                    gauge.set(lag.as_secs_f64());
                }
            });
        join_all(polls).await;
    }

    pub(crate) fn measure_idle(&self) {
        let replicas = self.0.replicas.iter().map(|replica| &replica.pool);
        replicas
            .chain([&self.0.primary])
            .for_each(|pool| pool.measure_idle());
    }

    /// Counts the slots that are not active here, as the shard says. Where it says nothing the last
    /// figures stay.
    pub(crate) async fn count_inactive_slots(&self) {
        let Ok(counts) = self.inactive_slots().await else {
            return;
        };
        for state in INACTIVE {
            let count = counts.iter().find(|(name, _)| name == state);
            let labels = SlotLabels {
                shard: self.name().to_owned(),
                state,
            };
            let gauge = self.0.metrics.slots.get_or_create(&labels);
            gauge.set(count.map_or(0, |(_, count)| *count));
        }
    }

    async fn inactive_slots(&self) -> Result<Vec<(String, i64)>, Error> {
        let counts = sqlx::query_as(
            "select state, count(*)
             from slot_owner
             where state <> 'active'
             group by state",
        )
        .fetch_all(&mut Autocommit::on(&self.0.primary).await?)
        .await?;
        Ok(counts)
    }

    async fn primary_lsn(&self) -> Result<u64, Error> {
        let lsn = sqlx::query_scalar::<_, i64>(
            "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint",
        )
        .fetch_one(&mut Autocommit::on(&self.0.primary).await?)
        .await?;
        Ok(lsn.cast_unsigned())
    }
}
