use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::trace::Sampling;

/// Settings that every service has.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// A file of lines `NAME=value` with variables that the environment does not have: the place
    /// for secrets.
    #[arg(long)]
    pub settings_file: Option<PathBuf>,

    /// Address that callers connect to; 9001 to 9005 for the backends, 8080 for the gateway.
    #[arg(long)]
    pub listen: Option<SocketAddr>,

    /// Address of `/metrics` and `/health`; the main port + 1000.
    #[arg(long)]
    pub admin_listen: Option<SocketAddr>,

    /// How log lines look; `auto` is `human` on a terminal and `json` elsewhere.
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,

    /// Which log lines are written, as `tracing` filter directives.
    #[arg(long, default_value = "info")]
    pub log_filter: String,

    /// Where traces go, as OTLP over gRPC: `http://host:4317`. Absent: nowhere.
    #[arg(long)]
    pub otlp_endpoint: Option<String>,

    /// Share of requests that are traced, 0 to 1, unless the caller has decided it; checkout,
    /// errors and slow requests always are.
    #[arg(long, default_value_t = 1.0, value_parser = ratio)]
    pub trace_ratio: f64,

    /// How long a request may take before it counts as slow, in milliseconds.
    #[arg(long, default_value_t = 500)]
    pub trace_slow_ms: u64,

    /// Signs who calls between services (HMAC-SHA256); the same everywhere, at least 32 bytes.
    #[arg(long)]
    pub caller_secret: SecretString,

    /// How long to serve on after readiness turned false, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pub linger_ms: u64,

    /// How long requests and tasks may take to end at shutdown, in milliseconds.
    #[arg(long, default_value_t = 25_000)]
    pub drain_ms: u64,

    /// Pause for ever at this fail point, so that a test can end the process there.
    #[cfg(feature = "faults")]
    #[arg(long, hide = true)]
    pub fault_point: Option<String>,
}

impl Config {
    pub fn sampling(&self) -> Sampling {
        Sampling {
            ratio: self.trace_ratio,
            slow: Duration::from_millis(self.trace_slow_ms),
        }
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("0 to 1 is expected".to_owned()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Auto,
    Human,
    Json,
}

/// The two sockets of a service, bound before anything else starts.
#[derive(Debug)]
pub struct Listeners {
    pub main: TcpListener,
    pub admin: TcpListener,
}

impl Config {
    /// The main address and the admin one; `default_port` is the main one's where none is set.
    pub(crate) fn addresses(&self, default_port: u16) -> (SocketAddr, SocketAddr) {
        let local = SocketAddr::from(([127, 0, 0, 1], default_port));
        let main = self.listen.unwrap_or(local);
        let admin = SocketAddr::new(main.ip(), main.port().saturating_add(1000));
        (main, self.admin_listen.unwrap_or(admin))
    }
}

impl Listeners {
    /// Binds both; `default_port` is the main one's where no address is set.
    pub async fn bind(config: &Config, default_port: u16) -> anyhow::Result<Self> {
        let (main, admin) = config.addresses(default_port);
        Ok(Self {
            main: bind("listen", main).await?,
            admin: bind("admin-listen", admin).await?,
        })
    }
}

async fn bind(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| anyhow::anyhow!("--{setting} {address}: {error}"))
}
