use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::pool::Pool;
use crate::transaction::Replayed;
use crate::{Autocommit, Error};

/// A replica further behind than this serves nothing.
const LAG_MAX: Duration = Duration::from_secs(5);

/// One copy of a shard's primary, and what is known of how far behind it is.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) pool: Arc<Pool>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Every change up to here has been replayed.
    replayed: u64,
    /// The last one it was seen to receive.
    timeline: Option<u32>,
    /// `None` from a failure until it is measured again.
    lag: Option<Duration>,
    /// When it was last measured, and what came out.
    measured: Option<(Instant, Duration)>,
}

impl Known {
    /// What a replica that does not answer must be taken to lack: all that came since it did.
    fn presumed_lag(&self, now: Instant) -> Option<Duration> {
        let (measured_at, lag) = self.measured?;
        Some(lag + now.saturating_duration_since(measured_at))
    }
}

impl Replica {
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            known: Mutex::default(),
        }
    }

    pub(crate) fn is_in_rotation(&self) -> bool {
        self.known().lag.is_some_and(|lag| lag <= LAG_MAX)
    }

    /// Whether a snapshot opened within `patience` may hold everything up to `lsn`.
    pub(crate) fn may_reach(&self, lsn: u64, patience: Duration) -> bool {
        let known = self.known();
        known.replayed >= lsn || known.lag.is_some_and(|lag| lag < patience)
    }

    /// Remembers until the next poll that a reader has waited this long in vain.
    pub(crate) fn note_lag(&self, waited: Duration) {
        let mut known = self.known();
        known.lag = known.lag.map(|lag| lag.max(waited));
    }

    /// A snapshot with the timeline that it lies on. A replica that fails leaves the rotation.
    pub(crate) async fn open(&self) -> Result<(Replayed, Option<u32>), Error> {
        let replayed = Replayed::open(&self.pool).await;
        let replayed = replayed.inspect_err(|error| self.leave_rotation(error))?;
        let mut known = self.known();
        known.replayed = known.replayed.max(replayed.at_least);
        known.timeline = replayed.timeline.or(known.timeline);
        Ok((replayed, known.timeline))
    }

    /// Measures the lag against the primary's past positions. A success returns the replica to the
    /// rotation; after a failure the lag counts from the last success, where there was one.
    pub(crate) async fn poll(&self, history: &History) -> Option<Duration> {
        let replayed = match self.replayed().await {
            Ok(replayed) => replayed,
            Err(error) => {
                self.leave_rotation(&error);
                return self.known().presumed_lag(Instant::now());
            }
        };
        let lag = history.lag(replayed);
        let mut known = self.known();
        known.replayed = known.replayed.max(replayed);
        known.lag = Some(lag);
        known.measured = Some((Instant::now(), lag));
        Some(lag)
    }

    async fn replayed(&self) -> Result<u64, Error> {
        let replayed = sqlx::query_scalar::<_, i64>(
            "select pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint",
        )
        .fetch_one(&mut Autocommit::on(&self.pool).await?)
        .await?;
        Ok(replayed.cast_unsigned())
    }

    fn leave_rotation(&self, error: &Error) {
        if !matches!(error, Error::Busy { .. }) {
            self.known().lag = None;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the primary was, and when. A lag measured by it needs no clock but this process's, and
/// grows when replication is cut, where the replica itself would report that it has kept up.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<VecDeque<(Instant, u64)>>);

impl History {
    /// Half of it is more than [`LAG_MAX`] of polls.
    const LENGTH: usize = 64;

    pub(crate) fn add(&self, lsn: u64) {
        let mut positions = self.positions();
        // The time at which a position was reached is when it was first seen.
        if positions.back().is_some_and(|(_, last)| *last >= lsn) {
            return;
        }
        if positions.len() == Self::LENGTH {
            // Of the older half every other: far back a rough answer is enough.
            let mut place = 0;
            positions.retain(|_| {
                place += 1;
                place > Self::LENGTH / 2 || place % 2 == 1
            });
        }
        positions.push_back((Instant::now(), lsn));
    }

    fn lag(&self, replayed: u64) -> Duration {
        let positions = self.positions();
        let missing = positions.iter().find(|(_, lsn)| *lsn > replayed);
        missing.map_or(Duration::ZERO, |(seen_at, _)| seen_at.elapsed())
    }

    fn positions(&self) -> MutexGuard<'_, VecDeque<(Instant, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_replayed_everything_has_no_lag() {
        let history = History::default();
        history.add(100);
        history.add(200);

        assert_eq!(history.lag(200), Duration::ZERO);
    }

    #[test]
    fn the_lag_is_the_age_of_the_oldest_position_that_is_missing() {
        let history = History::default();
        history.add(100);
        let first = history.positions()[0].0;
        history.add(200);
        history.add(200);

        let lag = history.lag(99);

        assert!(lag <= first.elapsed() && lag >= history.lag(150));
        assert_eq!(history.positions().len(), 2);
    }

    #[test]
    fn a_long_past_is_kept_roughly_and_the_near_one_exactly() {
        let history = History::default();

        (1..=10_000).for_each(|lsn| history.add(lsn));

        let kept: Vec<u64> = history.positions().iter().map(|(_, lsn)| *lsn).collect();
        assert!(kept.len() <= History::LENGTH);
        assert_eq!(kept[0], 1);
        let near: Vec<u64> = (10_000 - History::LENGTH as u64 / 2 + 1..=10_000).collect();
        assert!(kept.ends_with(&near), "{kept:?}");
    }

    #[test]
    fn a_replica_that_does_not_answer_falls_behind_by_the_second() {
        let now = Instant::now();
        let known = Known {
            measured: Some((now, Duration::from_secs(1))),
            ..Known::default()
        };

        let later = now + Duration::from_secs(60);

        assert_eq!(known.presumed_lag(later), Some(Duration::from_secs(61)));
        assert_eq!(Known::default().presumed_lag(later), None);
    }
}
