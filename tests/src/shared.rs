//! One platform for all tests of a binary that do not disturb each other.

use devstack::platform::Platform;
use devstack::service::Service;
use devstack::staff;
use testkit::{Setting, System};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

static SYSTEM: OnceCell<System> = OnceCell::const_new();

/// What is tested is what is answered, not how soon on a machine that is busy with tests.
pub const PATIENT: [Setting<'static>; 5] = [
    (Service::Gateway, "READ_BUDGET_MS", "5000"),
    (Service::Gateway, "WRITE_BUDGET_MS", "15000"),
    (Service::Gateway, "PAYMENT_BUDGET_MS", "15000"),
    (Service::Order, "ANSWER_WAIT_MS", "10000"),
    // Every test logs in as the same member of staff.
    (Service::Gateway, "ACCOUNT_LOGINS_PER_MINUTE", "10000"),
];

/// The platform, with a staff account; started by the first test that asks.
///
/// # Panics
/// When it does not start.
pub async fn platform() -> &'static Platform {
    let system = SYSTEM.get_or_init(async || {
        let system = System::start(&PATIENT).await;
        if let Err(error) = prepare(&system.platform).await {
            panic!("the system is of no use: {error:#}");
        }
        system
    });
    &system.await.platform
}

async fn prepare(platform: &Platform) -> anyhow::Result<()> {
    // As if Redis were flushed long ago: for a while after it, everything is read from primaries.
    run_redis(platform, "SET epoch 0").await?;
    staff::create(platform).await
}

/// One command to the gateway's Redis, in words (the protocol's inline commands).
pub async fn run_redis(platform: &Platform, command: &str) -> anyhow::Result<()> {
    let url = platform.redis_url(Service::Gateway);
    let mut redis = TcpStream::connect(url.trim_start_matches("redis://")).await?;
    redis.write_all(format!("{command}\r\n").as_bytes()).await?;
    let mut answer = [0; 64];
    let count = redis.read(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer[..count]);
    anyhow::ensure!(answer.starts_with(['+', ':']), "{command}: {answer}");
    Ok(())
}
