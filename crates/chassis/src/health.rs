//! A service asks itself whether it is ready: its image has no other program that could.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::Config;

const LIMIT: Duration = Duration::from_secs(2);

/// Good when the service that runs with these settings is ready.
///
/// # Errors
///
/// When it is not, or does not answer in two seconds.
pub async fn check(config: &Config, default_port: u16) -> anyhow::Result<()> {
    let (_, mut admin) = config.addresses(default_port);
    // It listens everywhere, which is no place to connect to.
    if admin.ip().is_unspecified() {
        admin.set_ip(match admin.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let answer = tokio::time::timeout(LIMIT, ask(admin))
        .await
        .with_context(|| format!("{admin} does not answer"))?
        .with_context(|| admin.to_string())?;
    let status = answer.lines().next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200 ") {
        bail!("{admin} is not ready: {status}");
    }
    Ok(())
}

async fn ask(admin: SocketAddr) -> std::io::Result<String> {
    let request = b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(admin).await?;
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
