use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Retries as a share of calls.
const SHARE: f64 = 0.2;

/// Retries that are always allowed, per second.
const PER_SECOND: f64 = 10.0;

/// What can be saved up.
const TOKENS_MAX: f64 = 100.0;

/// Retries are paid from a budget, so that they never multiply the load on a failing service.
#[derive(Debug)]
pub(super) struct Budget(Mutex<State>);

#[derive(Debug)]
struct State {
    tokens: f64,
    filled_at: Instant,
}

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(State {
            tokens: PER_SECOND,
            filled_at: Instant::now(),
        }))
    }
}

impl Budget {
    /// A call pays in.
    pub(super) fn deposit(&self, now: Instant) {
        self.update(SHARE, now);
    }

    /// A retry takes one; `false` when there is none.
    pub(super) fn withdraw(&self, now: Instant) -> bool {
        self.update(-1.0, now)
    }

    fn update(&self, change: f64, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let earned = now.saturating_duration_since(state.filled_at).as_secs_f64() * PER_SECOND;
        state.filled_at = now;
        let tokens = (state.tokens + earned).min(TOKENS_MAX);
        let affordable = tokens + change >= 0.0;
        state.tokens = if affordable {
            (tokens + change).min(TOKENS_MAX)
        } else {
            tokens
        };
        affordable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_stay_within_a_fifth_of_the_calls_and_ten_a_second() {
        let (budget, now) = (Budget::default(), Instant::now());

        let mut retries = 0;
        for _ in 0..1_000 {
            budget.deposit(now);
            retries += u32::from(budget.withdraw(now));
        }

        assert!((200..=211).contains(&retries), "{retries}");
    }
}
