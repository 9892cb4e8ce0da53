use clap::Args;

/// Where Kafka is, and under which names.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Config {
    /// Kafka brokers to start from: `host:port[,host:port…]`.
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub kafka_brokers: String,

    /// Put before every topic's name, so that several systems can share one Kafka.
    #[arg(long, default_value = "")]
    pub topic_prefix: String,

    /// Put before every consumer group's name.
    #[arg(long, default_value = "")]
    pub group_prefix: String,

    /// This process's name in its consumer group, kept over a restart: its partitions wait for it
    /// for 6 s. Two processes must not share one. Without it every restart moves partitions.
    #[arg(long)]
    pub group_member: Option<String>,

    /// Take every delivery of an event for its first. For the test that proves the inbox.
    #[cfg(feature = "faults")]
    #[arg(long)]
    pub inbox_off: bool,
}

impl Config {
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.topic_prefix)
    }

    pub(crate) fn inbox_off(&self) -> bool {
        #[cfg(feature = "faults")]
        return self.inbox_off;
        #[cfg(not(feature = "faults"))]
        false
    }
}
