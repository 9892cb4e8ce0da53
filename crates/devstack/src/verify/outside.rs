//! What is known outside the databases: by the provider, by Kafka, by the services' metrics.

use anyhow::Context;
use serde::Deserialize;

use crate::platform::Platform;
use crate::service::Service;
use crate::topics;
use crate::verify::books::{Charge, Leftover};

#[derive(Deserialize)]
struct Charges {
    charges: Vec<Charge>,
}

pub(crate) async fn charges(platform: &Platform) -> anyhow::Result<Vec<Charge>> {
    let url = format!("{}/v1/charges", platform.simulator_url());
    let answer = reqwest::get(url).await.context("the simulator")?;
    let Charges { charges } = answer.error_for_status()?.json().await?;
    Ok(charges)
}

pub(crate) async fn dead_letters(platform: &Platform) -> anyhow::Result<Vec<Leftover>> {
    let brokers = platform.kafka_brokers();
    let names =
        Service::BACKENDS.map(|service| format!("{}{service}.dead-letters", platform.names.prefix));
    tokio::task::spawn_blocking(move || {
        let reader = topics::reader(&brokers)?;
        let mut leftovers = Vec::new();
        for topic in names {
            let offsets = topics::offsets(&reader, &topic)?;
            leftovers.push(Leftover {
                count: offsets.iter().map(|(first, next)| next - first).sum(),
                what: format!("records in {topic}"),
            });
        }
        Ok(leftovers)
    })
    .await?
}

/// Reads that a service made for its callers since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reads {
    pub(crate) by_replicas: u64,
    pub(crate) by_primaries: u64,
    /// By primaries though any copy would have done.
    pub(crate) without_need: u64,
}

pub(crate) async fn reads(platform: &Platform, service: Service) -> anyhow::Result<Reads> {
    let url = format!("{}/metrics", platform.admin_url(service));
    let answer = reqwest::get(url).await.with_context(|| service.name())?;
    let metrics = answer.error_for_status()?.text().await?;
    Ok(Reads {
        by_replicas: sum_reads(&metrics, &["role=\"replica\""]),
        by_primaries: sum_reads(&metrics, &["role=\"primary\""]),
        without_need: sum_reads(&metrics, &["role=\"primary\"", "need=\"any\""]),
    })
}

/// The sum of `db_reads_total` over all series with these labels.
fn sum_reads(metrics: &str, labels: &[&str]) -> u64 {
    let has_labels = |line: &&str| labels.iter().all(|label| line.contains(label));
    metrics
        .lines()
        .filter(|line| line.starts_with("db_reads_total{"))
        .filter(has_labels)
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_summed_over_the_series_with_the_labels() {
        let metrics = "# TYPE db_reads counter\n\
            db_reads_total{shard=\"a\",role=\"replica\",need=\"any\"} 3\n\
            db_reads_total{shard=\"b\",role=\"replica\",need=\"seen\"} 4\n\
            db_reads_total{shard=\"a\",role=\"primary\",need=\"any\"} 5\n";

        assert_eq!(sum_reads(metrics, &["role=\"replica\""]), 7);
        assert_eq!(sum_reads(metrics, &["need=\"any\""]), 8);
        assert_eq!(sum_reads(metrics, &["role=\"primary\"", "need=\"any\""]), 5);
    }
}
