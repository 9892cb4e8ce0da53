use std::time::Duration;

use chassis::client::Endpoints;

use crate::cart::Limits;

/// Every setting of the order service.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    #[command(flatten)]
    pub chassis: chassis::Config,

    #[command(flatten)]
    pub storage: storage::Config,

    #[command(flatten)]
    pub events: events::Config,

    /// Where the user service is, as `host:port[,host:port…]`.
    #[arg(long, default_value = "127.0.0.1:9001")]
    pub user_endpoints: Endpoints,

    /// Where the product service is.
    #[arg(long, default_value = "127.0.0.1:9002")]
    pub product_endpoints: Endpoints,

    /// Where the inventory service is.
    #[arg(long, default_value = "127.0.0.1:9004")]
    pub inventory_endpoints: Endpoints,

    /// Where the payment service is.
    #[arg(long, default_value = "127.0.0.1:9005")]
    pub payment_endpoints: Endpoints,

    /// How many of one SKU a cart takes.
    #[arg(long, default_value_t = 999, value_parser = clap::value_parser!(u32).range(1..))]
    pub quantity_max: u32,

    /// How many SKUs a cart takes.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub lines_max: u16,

    /// How long a cart is kept after its last change, in hours.
    #[arg(long, default_value_t = 168)]
    pub cart_ttl_hours: u32,

    /// How long whoever places an order waits for it at most, in milliseconds; then the answer is
    /// the order as it stands.
    #[arg(long, default_value_t = 2_000)]
    pub answer_wait_ms: u64,

    /// How long an order holds its stock, in milliseconds.
    #[arg(long, default_value_t = 900_000)]
    pub hold_ms: u64,

    /// An order is not confirmed with less than this left of its hold, in milliseconds.
    #[arg(long, default_value_t = 300_000)]
    pub hold_left_min_ms: u64,

    /// An order that is neither confirmed nor refused after this long is rejected, in milliseconds.
    #[arg(long, default_value_t = 600_000)]
    pub give_up_ms: u64,

    /// How long one step of an order may take, its calls included, in milliseconds. When a process
    /// dies, its orders are taken over after one and a half times as long.
    #[arg(long, default_value_t = 8_000)]
    pub step_timeout_ms: u64,

    /// After this many attempts of one step an operator is asked for; the attempts go on.
    #[arg(long, default_value_t = 12)]
    pub attempts_max: i32,

    /// How often each shard is looked through for orders that are overdue, in milliseconds.
    #[arg(long, default_value_t = 500)]
    pub poll_ms: u64,

    /// Leave out one compensation, for the test that proves the checker.
    #[cfg(feature = "faults")]
    #[arg(long, hide = true)]
    pub skip_compensation: Option<Compensation>,
}

/// What is given back when an order does not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Compensation {
    Release,
    Void,
}

impl Config {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            quantity_max: self.quantity_max,
            lines_max: self.lines_max.into(),
        }
    }

    pub(crate) fn step_timeout(&self) -> Duration {
        Duration::from_millis(self.step_timeout_ms)
    }

    /// Longer than a step, so that two drivers meet only when one of them is dead.
    pub(crate) fn lease(&self) -> Duration {
        self.step_timeout() * 3 / 2
    }

    pub(crate) fn skips(&self, compensation: Compensation) -> bool {
        #[cfg(feature = "faults")]
        return self.skip_compensation == Some(compensation);
        #[cfg(not(feature = "faults"))]
        {
            let _ = compensation;
            false
        }
    }
}
