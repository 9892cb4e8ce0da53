//! One Redis per service: a cache that may be lost at any moment.

use anyhow::bail;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::platform::Platform;
use crate::program::Program;
use crate::service::Service;
use crate::wait;

pub fn program(platform: &Platform, service: Service) -> Program {
    let port = platform.ports.redis(service);
    let arguments = format!(
        "redis-server --bind 127.0.0.1 --port {port} --save  --appendonly no --maxmemory 64mb --maxmemory-policy allkeys-lru"
    );
    // The empty argument behind --save switches snapshots off.
    let argv = arguments.split(' ').map(Into::into).collect();
    Program::new(format!("redis-{service}"), argv)
}

/// Returns when it answers.
pub async fn ready(platform: &Platform, service: Service) -> anyhow::Result<()> {
    let port = platform.ports.redis(service);
    wait::until(&format!("redis-{service}"), wait::START_LIMIT, async || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        if &answer != b"+PONG" {
            bail!("something else answers on port {port}");
        }
        Ok(())
    })
    .await
}
