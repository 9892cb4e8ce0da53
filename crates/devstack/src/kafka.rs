//! Apache Kafka as one process, broker and controller in one (KRaft).

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::process::Command;

use crate::home::Home;
use crate::platform::{Platform, workspace};
use crate::program::{Program, with_log};
use crate::service::Service;
use crate::wait;

const POM: &str = include_str!("../assets/pom.xml");
const LOGGING: &str = include_str!("../assets/log4j2.yaml");
const START_LIMIT: Duration = Duration::from_secs(120);
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// A name, not a secret: a broker refuses files of another cluster.
const CLUSTER_ID: &str = "Y2xvdWRyZXRhaWwtbG9jYQ";

/// Fetches the broker's jars once for the checkout.
pub(crate) async fn install() -> anyhow::Result<()> {
    if is_installed() {
        return Ok(());
    }
    let libs = libs();
    let tools = libs.parent().map(Path::to_path_buf).unwrap_or_default();
    fs::create_dir_all(&tools)?;
    let lock = File::create(tools.join("lock"))?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    // Somebody else may have fetched them meanwhile.
    if is_installed() {
        return Ok(());
    }
    fs::write(tools.join("pom.xml"), POM)?;
    let new = tools.join("libs.new");
    let output = Command::new("mvn")
        .args([
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
        ])
        .arg(format!("-DoutputDirectory={}", new.display()))
        .current_dir(&tools)
        .output()
        .await
        .context("cannot run mvn")?;
    if !output.status.success() {
        bail!("mvn failed: {}", String::from_utf8_lossy(&output.stdout));
    }
    fs::rename(new, libs)?;
    drop(lock);
    Ok(())
}

pub(crate) fn is_installed() -> bool {
    libs().exists()
}

/// Writes the configuration, formats the storage if it is new, and says how to start.
pub(crate) async fn program(platform: &Platform) -> anyhow::Result<Program> {
    let home = &platform.home;
    let folder = home.kafka();
    fs::create_dir_all(&folder)?;
    let settings = folder.join("server.properties");
    let logging = folder.join("log4j2.yaml");
    fs::write(&settings, configuration(platform))?;
    fs::write(&logging, LOGGING)?;
    if !folder.join("data/meta.properties").exists() {
        let mut argv = java(home);
        argv.extend(
            "kafka.tools.StorageTool format --standalone --ignore-formatted"
                .split(' ')
                .map(Into::into),
        );
        argv.extend([
            "-t".into(),
            CLUSTER_ID.into(),
            "-c".into(),
            settings.clone().into(),
        ]);
        Program::new("kafka-format", argv).run(home, None).await?;
    }
    let mut argv = java(home);
    argv.extend(["kafka.Kafka".into(), settings.into()]);
    Ok(Program::new("kafka", argv))
}

fn java(home: &Home) -> Vec<OsString> {
    let mut logging = OsString::from("-Dlog4j2.configurationFile=");
    logging.push(home.kafka().join("log4j2.yaml"));
    let mut argv: Vec<OsString> = [
        "java",
        "-Xmx384m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
    ]
    .map(OsString::from)
    .to_vec();
    argv.extend([logging, "-cp".into(), libs().join("*").into()]);
    argv
}

fn configuration(platform: &Platform) -> String {
    format!(
        "# Written by devstack at every start.
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
num.network.threads=2
num.io.threads=4
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=16777216
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
auto.create.topics.enable=false
# A consumer that was killed is back at once.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
",
        port = platform.ports.kafka(),
        controller = platform.ports.kafka_controller(),
        data = platform.home.kafka().join("data").display(),
    )
}

fn libs() -> PathBuf {
    workspace().join(".tools/kafka/libs")
}

/// Returns when the broker answers and every topic exists.
pub async fn create_topics(platform: &Platform, partitions: i32) -> anyhow::Result<()> {
    let admin = admin(platform)?;
    let options = AdminOptions::new().request_timeout(Some(REQUEST_LIMIT));
    let names: Vec<(String, i32)> = Service::BACKENDS
        .into_iter()
        .flat_map(|service| {
            let dead_letters = format!("{}{service}.dead-letters", platform.names.prefix);
            [(platform.topic(service), partitions), (dead_letters, 1)]
        })
        .collect();
    let topics: Vec<NewTopic<'_>> = names
        .iter()
        .map(|(name, partitions)| NewTopic::new(name, *partitions, TopicReplication::Fixed(1)))
        .collect();
    let made = wait::until("kafka", START_LIMIT, async || {
        for topic in admin.create_topics(&topics, &options).await? {
            match topic {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    return Err(KafkaError::AdminOp(code)).with_context(|| name);
                }
            }
        }
        Ok(())
    });
    with_log(platform, "kafka", made.await)
}

/// Deletes the topics that `is_abandoned` by their names.
pub async fn delete_topics(
    platform: &Platform,
    is_abandoned: fn(&str) -> bool,
) -> anyhow::Result<()> {
    let admin = Arc::new(admin(platform)?);
    let asking = Arc::clone(&admin);
    let metadata = move || asking.inner().fetch_metadata(None, REQUEST_LIMIT);
    let metadata = tokio::task::spawn_blocking(metadata).await??;
    let names = metadata.topics().iter().map(MetadataTopic::name);
    let abandoned: Vec<&str> = names.filter(|name| is_abandoned(name)).collect();
    if !abandoned.is_empty() {
        let options = AdminOptions::new().request_timeout(Some(REQUEST_LIMIT));
        // Somebody else may be deleting the same ones.
        admin.delete_topics(&abandoned, &options).await?;
    }
    Ok(())
}

/// Deletes the records of a topic before the given offset of each of its partitions.
pub(crate) async fn delete_before(
    platform: &Platform,
    topic: &str,
    offsets: &[i64],
) -> anyhow::Result<()> {
    let mut before = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(offsets) {
        before.add_partition_offset(topic, partition, Offset::Offset(*offset))?;
    }
    let options = AdminOptions::new().request_timeout(Some(REQUEST_LIMIT));
    let deleted = admin(platform)?.delete_records(&before, &options).await?;
    for partition in deleted.elements() {
        partition.error()?;
    }
    Ok(())
}

fn admin(platform: &Platform) -> anyhow::Result<AdminClient<DefaultClientContext>> {
    let admin = ClientConfig::new()
        .set("bootstrap.servers", platform.kafka_brokers())
        // The broker may be starting; by default the pause grows to ten seconds.
        .set("reconnect.backoff.max.ms", "200")
        .create()?;
    Ok(admin)
}
