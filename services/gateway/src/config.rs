use chassis::client::Endpoints;
use secrecy::SecretString;

/// A build without optimisation needs several times longer for the same work.
const READ_BUDGET_MS: u64 = if cfg!(debug_assertions) { 1_500 } else { 300 };

/// Every setting of the gateway.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    #[command(flatten)]
    pub chassis: chassis::Config,

    #[command(flatten)]
    pub events: events::Config,

    #[command(flatten)]
    pub limits: Limits,

    /// Where the user service is: `host:port[,host:port…]`.
    #[arg(long, default_value = "127.0.0.1:9001")]
    pub user_endpoints: Endpoints,

    /// Where the product service is.
    #[arg(long, default_value = "127.0.0.1:9002")]
    pub product_endpoints: Endpoints,

    /// Where the order service is.
    #[arg(long, default_value = "127.0.0.1:9003")]
    pub order_endpoints: Endpoints,

    /// Where the inventory service is.
    #[arg(long, default_value = "127.0.0.1:9004")]
    pub inventory_endpoints: Endpoints,

    /// Where the payment service is.
    #[arg(long, default_value = "127.0.0.1:9005")]
    pub payment_endpoints: Endpoints,

    /// The gateway's own Redis: rate limits and consistency tokens.
    #[arg(long, default_value = "redis://127.0.0.1:6391")]
    pub redis_url: SecretString,

    /// How long a read may take, in milliseconds.
    #[arg(long, default_value_t = READ_BUDGET_MS)]
    pub read_budget_ms: u64,

    /// How long a write or a checkout may take, in milliseconds; an order that is not confirmed by
    /// then is answered as pending.
    #[arg(long, default_value_t = 2_000)]
    pub write_budget_ms: u64,

    /// How long a refund may take, in milliseconds.
    #[arg(long, default_value_t = 3_000)]
    pub payment_budget_ms: u64,

    /// How many public answers are kept in this process.
    #[arg(long, default_value_t = 10_000)]
    pub cached_answers_max: u64,

    /// How many proxies in front are ours: each adds an address to `X-Forwarded-For`. With 0 the
    /// header is ignored.
    #[arg(long, default_value_t = 0)]
    pub trusted_proxies: usize,

    /// Web pages of these origins may call the API: `https://shop.example[,…]`; `*` for all.
    #[arg(long, value_delimiter = ',')]
    pub cors_origins: Vec<String>,
}

/// Requests that one address, and one customer, may send. What a second allows may come at once.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Limits {
    /// Reads of the catalogue in a second.
    #[arg(long, default_value_t = 50_000)]
    pub browse_per_second: u32,

    /// Other reads and writes in a second.
    #[arg(long, default_value_t = 10_000)]
    pub use_per_second: u32,

    /// Checkouts, cancellations and refunds in a second.
    #[arg(long, default_value_t = 5_000)]
    pub checkout_per_second: u32,

    /// Registrations, logins and refreshes in a second.
    #[arg(long, default_value_t = 1_000)]
    pub login_per_second: u32,

    /// Logins to one account in a minute, from wherever.
    #[arg(long, default_value_t = 60)]
    pub account_logins_per_minute: u32,

    /// How many gateways share the traffic. While Redis is away, each allows its share.
    #[arg(long, default_value_t = 1)]
    pub processes: u32,
}
