use reqwest::Url;

/// Settings of the payment service.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    #[command(flatten)]
    pub chassis: chassis::Config,

    #[command(flatten)]
    pub storage: storage::Config,

    #[command(flatten)]
    pub events: events::Config,

    /// Where the payment provider answers.
    #[arg(long, default_value = "http://127.0.0.1:9010")]
    pub provider_url: Url,

    /// How long the provider may take for one answer before its outcome counts as unknown.
    #[arg(long, default_value_t = 1_000)]
    pub provider_timeout_ms: u64,

    /// How often operations without an outcome are looked for.
    #[arg(long, default_value_t = 500)]
    pub resolve_interval_ms: u64,

    /// From which age on money that is authorized, and neither captured nor voided, is in limbo.
    #[arg(long, default_value_t = 900)]
    pub limbo_after_s: u32,

    /// Call the provider under a new key for each retry. For the test that proves the keys.
    #[cfg(feature = "faults")]
    #[arg(long, hide = true)]
    pub new_key_per_retry: bool,
}

impl Config {
    pub(crate) fn new_key_per_retry(&self) -> bool {
        #[cfg(feature = "faults")]
        return self.new_key_per_retry;
        #[cfg(not(feature = "faults"))]
        false
    }
}
