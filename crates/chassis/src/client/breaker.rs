use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;

/// This many failures in a row open it.
const FAILURES_MAX: u32 = 10;

/// How long it stays open before one probe is let through.
const OPEN: Duration = Duration::from_secs(1);

/// A circuit breaker: after failures in a row it refuses at once, then lets single probes through.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
    open: Gauge,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    probe_at: Option<Instant>,
}

impl Breaker {
    /// The gauge is 1 while it is open.
    pub(super) fn new(open: Gauge) -> Self {
        Self {
            state: Mutex::default(),
            open,
        }
    }

    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut state = self.lock();
        match state.probe_at {
            None => true,
            Some(at) if at <= now => {
                state.probe_at = Some(now + OPEN);
                true
            }
            Some(_) => false,
        }
    }

    pub(super) fn record(&self, success: bool, now: Instant) {
        let mut state = self.lock();
        if success {
            *state = State::default();
            self.open.set(0);
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES_MAX {
            state.probe_at = Some(now + OPEN);
            self.open.set(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_it_and_a_good_probe_closes_it() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        (0..FAILURES_MAX).for_each(|_| breaker.record(false, start));
        assert!(!breaker.admits(start));

        let later = start + OPEN;
        assert!(breaker.admits(later));
        assert!(!breaker.admits(later), "one probe at a time");
        assert_eq!(breaker.open.get(), 1);
        breaker.record(true, later);
        assert_eq!(breaker.open.get(), 0);

        assert!(breaker.admits(later) && breaker.admits(later));
    }

    #[test]
    fn a_success_in_between_keeps_it_closed() {
        let (breaker, now) = (Breaker::default(), Instant::now());

        for _ in 0..5 {
            (1..FAILURES_MAX).for_each(|_| breaker.record(false, now));
            breaker.record(true, now);
        }

        assert!(breaker.admits(now));
    }
}
