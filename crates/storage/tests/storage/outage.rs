use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cache::{Note, client, filled, process, row, version, version_in_redis};

/// A Redis of the test's own, to be stopped and resumed.
struct OwnRedis {
    child: Child,
    url: String,
}

impl OwnRedis {
    async fn start() -> Self {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let own = Self {
            child,
            url: format!("redis://127.0.0.1:{port}"),
        };
        let listens = async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .ok()
        };
        testkit::eventually(Duration::from_secs(5), listens).await;
        own
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn without_redis_answers_are_right() {
    let cache = process("redis://127.0.0.1:1").await;

    let first = version(&cache, "away", async { row(1) }).await;
    cache.invalidate::<Note>("away", 2).await;
    let second = version(&cache, "away", async { row(2) }).await;

    assert_eq!((first, second), (Some(1), Some(2)));
}

#[tokio::test]
async fn a_redis_that_was_out_of_reach_comes_back_without_its_stale_values() {
    let redis = OwnRedis::start().await;
    let (writer, reader) = (process(&redis.url).await, process(&redis.url).await);
    version(&writer, "resumed", async { row(1) }).await;
    filled(&client(&redis.url).await, "resumed").await;

    redis.signal("-STOP");
    writer.invalidate::<Note>("resumed", 2).await;
    let meanwhile = version(&writer, "resumed", async { row(2) }).await;
    redis.signal("-CONT");
    let client = client(&redis.url).await;
    let buried = async || {
        let version = version_in_redis(&client, "resumed").await;
        (version == Some(2)).then_some(())
    };
    testkit::eventually(Duration::from_secs(10), buried).await;
    let found = version(&reader, "resumed", async { row(2) }).await;

    assert_eq!((meanwhile, found), (Some(2), Some(2)));
}
