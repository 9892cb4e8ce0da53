use std::process::Command;
use std::time::Duration;

use fred::prelude::ClientLike;
use fred::types::InfoKind;
use testkit::Service;

use crate::cache::{Note, client, filled, process, row, version, version_in_redis};

/// A Redis that no other test uses, to be stopped and resumed.
struct OwnRedis {
    url: &'static str,
    pid: String,
}

impl OwnRedis {
    async fn find() -> Self {
        // The gateway has no databases: its fixture is little more than a Redis.
        let url = &testkit::fixture(Service::Gateway, async |_| Ok(()))
            .await
            .redis_url;
        let info: String = client(url)
            .await
            .info(Some(InfoKind::Server))
            .await
            .unwrap();
        let pid = info
            .lines()
            .find_map(|line| line.strip_prefix("process_id:"));
        Self {
            url,
            pid: pid.unwrap().to_owned(),
        }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid]).status();
        assert!(sent.unwrap().success());
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
    let redis = OwnRedis::find().await;
    let (writer, reader) = (process(redis.url).await, process(redis.url).await);
    version(&writer, "resumed", async { row(1) }).await;
    filled(&client(redis.url).await, "resumed").await;

    redis.signal("-STOP");
    writer.invalidate::<Note>("resumed", 2).await;
    let meanwhile = version(&writer, "resumed", async { row(2) }).await;
    redis.signal("-CONT");
    let client = client(redis.url).await;
    let buried = async || {
        let version = version_in_redis(&client, "resumed").await;
        (version == Some(2)).then_some(())
    };
    testkit::eventually(Duration::from_secs(10), buried).await;
    let found = version(&reader, "resumed", async { row(2) }).await;

    assert_eq!((meanwhile, found), (Some(2), Some(2)));
}
