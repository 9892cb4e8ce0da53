use crate::capacity::{Database, Knee};

/// Of all requests; the target of operations.
const ERRORS_MAX: f64 = 0.001;

/// A service in one window: sums over its pods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    /// Requests a second.
    pub rate: f64,
    /// Of them.
    pub errors: f64,
    pub p95_ms: f64,
    pub pods: f64,
    /// In a second.
    pub cpu_seconds: f64,
    /// Of the largest pod.
    pub memory_bytes: f64,
    pub primary: Use,
    pub replica: Use,
}

/// Of the databases of one role.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Use {
    /// In a second.
    pub round_trips: f64,
    /// Connections in use.
    pub busy: f64,
}

impl Window {
    fn per_pod(&self) -> f64 {
        self.rate / self.pods.max(1.0)
    }

    fn keeps(&self, p95_ms: f64) -> bool {
        self.p95_ms <= p95_ms && self.errors <= self.rate * ERRORS_MAX
    }

    fn database(&self, of: Use) -> Database {
        Database {
            round_trips_per_request: of.round_trips / self.rate,
            seconds_per_request: of.busy / self.rate,
        }
    }
}

/// The window that kept its limits with most requests for each pod; its public share is left open.
pub(super) fn best(windows: &[Window], p95_ms: f64) -> Option<Knee> {
    let kept = windows.iter().filter(|window| window.keeps(p95_ms));
    let best = kept.max_by(|one, other| one.per_pod().total_cmp(&other.per_pod()))?;
    let broke = |window: &Window| window.per_pod() > best.per_pod() && !window.keeps(p95_ms);
    Some(Knee {
        requests_per_second: best.per_pod(),
        is_limit: windows.iter().any(broke),
        p95_ms: best.p95_ms,
        cpu_millicores: best.cpu_seconds / best.pods.max(1.0) * 1000.0,
        memory_mib: best.memory_bytes / 1024.0 / 1024.0,
        requests_per_public_request: 0.0,
        primary: best.database(best.primary),
        replica: best.database(best.replica),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(rate: f64, p95_ms: f64) -> Window {
        Window {
            rate,
            errors: 0.0,
            p95_ms,
            pods: 2.0,
            cpu_seconds: 0.6,
            memory_bytes: 384.0 * 1024.0 * 1024.0,
            primary: Use {
                round_trips: rate * 3.0,
                busy: 4.0,
            },
            replica: Use::default(),
        }
    }

    #[test]
    fn the_knee_is_the_busiest_window_that_kept_the_percentile() {
        let windows = [
            window(1000.0, 90.0),
            window(2000.0, 480.0),
            window(2200.0, 900.0),
        ];

        let knee = best(&windows, 500.0).unwrap();

        assert_eq!((knee.requests_per_second, knee.is_limit), (1000.0, true));
        assert_eq!((knee.cpu_millicores, knee.memory_mib), (300.0, 384.0));
        assert_eq!(knee.primary.round_trips_per_request, 3.0);
        assert_eq!(knee.primary.seconds_per_request, 0.002);
    }

    #[test]
    fn a_run_that_broke_nothing_found_no_limit() {
        let knee = best(&[window(1000.0, 90.0), window(2000.0, 95.0)], 500.0).unwrap();

        assert!(!knee.is_limit);
    }

    #[test]
    fn a_window_with_errors_is_no_knee() {
        let failing = Window {
            errors: 30.0,
            ..window(2000.0, 90.0)
        };

        assert_eq!(
            best(&[window(1000.0, 90.0), failing], 500.0)
                .unwrap()
                .requests_per_second,
            500.0
        );
        assert_eq!(best(&[failing], 500.0), None);
    }
}
