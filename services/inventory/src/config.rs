/// Settings of the inventory service.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    #[command(flatten)]
    pub chassis: chassis::Config,

    #[command(flatten)]
    pub storage: storage::Config,

    #[command(flatten)]
    pub events: events::Config,

    /// How long a reservation is held where the request does not say, in milliseconds.
    #[arg(long, default_value_t = 900_000, value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub hold_ms: u64,

    /// How often holds past their time are looked for, in milliseconds.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub sweep_ms: u64,

    /// Reserve by reading and then writing, without a lock. For the test that proves the lock.
    #[cfg(feature = "faults")]
    #[arg(long, hide = true)]
    pub read_then_write: bool,
}
