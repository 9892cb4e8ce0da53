use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;

/// Settings of the user service.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    #[command(flatten)]
    pub chassis: chassis::Config,

    #[command(flatten)]
    pub storage: storage::Config,

    #[command(flatten)]
    pub events: events::Config,

    /// The file with the keys that sign access tokens, as `create-keys` writes it; the first signs.
    #[arg(long)]
    pub signing_keys: PathBuf,

    /// How long an access token is good for, in seconds.
    #[arg(long, default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub access_token_seconds: u32,

    /// How long a session lives without a refresh, in days.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=365))]
    pub session_days: u32,

    /// Memory of one password hash, in KiB (argon2id).
    #[arg(long, default_value_t = 19_456, value_parser = clap::value_parser!(u32).range(8..=1_048_576))]
    pub password_memory_kib: u32,

    /// Passes over that memory.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub password_passes: u32,

    /// The server in the same network that mails are handed to, by SMTP without TLS: `host:port`.
    /// Absent: they are put into a folder.
    #[arg(long)]
    pub mail_server: Option<String>,

    /// That folder; one `.eml` file each.
    #[arg(long, default_value = "mail")]
    pub mail_dir: PathBuf,

    /// Who mails come from.
    #[arg(long, default_value = "CloudRetail <orders@cloudretail.example>")]
    pub mail_from: Mailbox,
}

impl Config {
    pub(crate) fn session_lifetime(&self) -> Duration {
        Duration::from_hours(24 * u64::from(self.session_days))
    }
}
