use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Clone, Copy, Debug)]
pub(super) enum Layer {
    Local,
    Shared,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Hit,
    Miss,
    Stale,
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    layer: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct Metrics {
    requests: Family<Labels, Counter>,
    pub(super) load_seconds: Histogram,
    pub(super) fills_refused: Counter,
    pub(super) redis_away: Gauge,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            load_seconds: Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0]),
            fills_refused: Counter::default(),
            redis_away: Gauge::default(),
        };
        registry.register(
            "cache_requests",
            "Look-ups by layer (l1: this process, l2: Redis) and result",
            metrics.requests.clone(),
        );
        registry.register(
            "cache_load_duration_seconds",
            "Time to load what no layer had",
            metrics.load_seconds.clone(),
        );
        registry.register(
            "cache_fills_refused",
            "Loads that Redis refused because a newer version was there",
            metrics.fills_refused.clone(),
        );
        registry.register(
            "cache_redis_away",
            "1 while Redis is left alone",
            metrics.redis_away.clone(),
        );
        metrics
    }

    pub(super) fn count(&self, layer: Layer, outcome: Outcome) {
        let labels = Labels {
            layer: match layer {
                Layer::Local => "l1",
                Layer::Shared => "l2",
            },
            result: match outcome {
                Outcome::Hit => "hit",
                Outcome::Miss => "miss",
                Outcome::Stale => "stale",
                Outcome::Error => "error",
            },
        };
        self.requests.get_or_create(&labels).inc();
    }
}
