use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::Run;
use super::knee::Use;

const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const FAILED_CALLS: &str = "Unknown|Internal|Unavailable|DeadlineExceeded|DataLoss";
const SERVICES: &str = "gateway|user|product|order|inventory|payment";

/// Asks for the windows of one run.
pub(super) struct Prometheus {
    client: reqwest::Client,
    url: String,
    start: i64,
    end: i64,
    step: i64,
    /// As `,namespace="shop"`.
    namespace: String,
}

/// Values by name and time.
#[derive(Debug, Default)]
pub(super) struct Series(BTreeMap<String, BTreeMap<i64, f64>>);

/// The databases of one role, by service.
pub(super) struct Databases {
    round_trips: Series,
    waited: Series,
    in_use: Series,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl Series {
    fn read(label: &str, lines: Vec<Line>) -> anyhow::Result<Self> {
        let mut series = Self::default();
        for mut line in lines {
            let name = line.metric.remove(label).unwrap_or_default();
            let values = series.0.entry(name).or_default();
            for (at, value) in line.values {
                // Times are the whole seconds that were asked for.
                values.insert(round(at), value.parse()?);
            }
        }
        Ok(series)
    }

    pub fn at(&self, name: &str, at: i64) -> Option<f64> {
        self.0
            .get(name)?
            .get(&at)
            .copied()
            .filter(|value| value.is_finite())
    }

    pub fn of(&self, name: &str) -> impl Iterator<Item = (i64, f64)> {
        self.0
            .get(name)
            .into_iter()
            .flatten()
            .map(|(at, value)| (*at, *value))
    }

    pub fn all(&self) -> impl Iterator<Item = (&str, i64, f64)> {
        self.0.iter().flat_map(|(name, values)| {
            values
                .iter()
                .map(move |(at, value)| (name.as_str(), *at, *value))
        })
    }
}

impl Databases {
    /// The longer of what round trips took and what was held between them.
    pub fn of(&self, service: &str, at: i64) -> Use {
        let value = |series: &Series| series.at(service, at).unwrap_or_default();
        Use {
            round_trips: value(&self.round_trips),
            busy: value(&self.waited).max(value(&self.in_use)),
        }
    }
}

impl Prometheus {
    pub fn new(run: &Run) -> Self {
        Self {
            client: reqwest::Client::new(),
            url: run.prometheus.trim_end_matches('/').to_owned(),
            // A window looks back from its end.
            start: run.from.as_second() + run.window,
            end: run.to.as_second(),
            step: run.window,
            namespace: run
                .namespace
                .as_ref()
                .map_or_else(String::new, |namespace| format!(",namespace={namespace:?}")),
        }
    }

    pub async fn rates(&self) -> anyhow::Result<Series> {
        let of = |kind, jobs| format!("sum by (job) (rate({kind}_requests_total{{{jobs}$n}}[$w]))");
        self.ask_both(
            of("http", "job=\"gateway\""),
            of("grpc", "job!=\"gateway\""),
        )
        .await
    }

    pub async fn errors(&self) -> anyhow::Result<Series> {
        let http = "job=\"gateway\",status=~\"5..\"".to_owned();
        let grpc = format!("job!=\"gateway\",status=~\"{FAILED_CALLS}\"");
        let of = |kind, jobs| format!("sum by (job) (rate({kind}_requests_total{{{jobs}$n}}[$w]))");
        self.ask_both(of("http", http), of("grpc", grpc)).await
    }

    pub async fn p95s(&self) -> anyhow::Result<Series> {
        let of = |kind, jobs| {
            format!(
                "histogram_quantile(0.95, sum by (job, le) \
                 (rate({kind}_request_duration_seconds_bucket{{{jobs}$n}}[$w])))"
            )
        };
        self.ask_both(
            of("http", "job=\"gateway\""),
            of("grpc", "job!=\"gateway\""),
        )
        .await
    }

    pub async fn pods(&self) -> anyhow::Result<Series> {
        self.ask(
            "job",
            &format!("sum by (job) (max_over_time(up{{job=~\"{SERVICES}\"$n}}[$w]))"),
        )
        .await
    }

    /// Of containers where cAdvisor knows them, otherwise of processes.
    pub async fn cpu_seconds(&self) -> anyhow::Result<Series> {
        self.ask(
            "job",
            &format!(
                "sum by (job) (label_replace(rate(container_cpu_usage_seconds_total\
                 {{container=~\"{SERVICES}\"$n}}[$w]), \"job\", \"$1\", \"container\", \"(.+)\")) \
                 or sum by (job) (rate(process_cpu_seconds_total{{job=~\"{SERVICES}\"$n}}[$w]))"
            ),
        )
        .await
    }

    /// Of the largest pod.
    pub async fn memory_bytes(&self) -> anyhow::Result<Series> {
        self.ask(
            "job",
            &format!(
                "max by (job) (label_replace(max_over_time(container_memory_working_set_bytes\
                 {{container=~\"{SERVICES}\"$n}}[$w]), \"job\", \"$1\", \"container\", \"(.+)\")) \
                 or max by (job) (max_over_time(process_resident_memory_bytes\
                 {{job=~\"{SERVICES}\"$n}}[$w]))"
            ),
        )
        .await
    }

    pub async fn database(&self, role: &str) -> anyhow::Result<Databases> {
        let rate = |what| {
            format!(
                "sum by (job) (rate(db_query_duration_seconds_{what}{{role=\"{role}\"$n}}[$w]))"
            )
        };
        let in_use = format!(
            "sum by (job) (avg_over_time(db_pool_connections{{state=\"in_use\",role=\"{role}\"$n}}[$w]))"
        );
        Ok(Databases {
            round_trips: self.ask("job", &rate("count")).await?,
            waited: self.ask("job", &rate("sum")).await?,
            in_use: self.ask("job", &in_use).await?,
        })
    }

    /// By shard, round trips to its primary: their rate and their 95th percentile.
    pub async fn shards(&self) -> anyhow::Result<(Series, Series)> {
        let rates =
            "sum by (shard) (rate(db_query_duration_seconds_count{role=\"primary\"$n}[$w]))";
        let p95s = "histogram_quantile(0.95, sum by (shard, le) \
                    (rate(db_query_duration_seconds_bucket{role=\"primary\"$n}[$w])))";
        Ok((
            self.ask("shard", rates).await?,
            self.ask("shard", p95s).await?,
        ))
    }

    /// Confirmed orders a second, of all windows.
    pub async fn orders(&self) -> anyhow::Result<f64> {
        let query = "sum by (job) (rate(orders_total{status=\"confirmed\"$n}[$w]))";
        Ok(self
            .ask("job", query)
            .await?
            .all()
            .map(|(_, _, rate)| rate)
            .sum())
    }

    async fn ask_both(&self, gateway: String, backends: String) -> anyhow::Result<Series> {
        self.ask("job", &format!("{gateway} or {backends}")).await
    }

    /// `$w` is the window, `$n` the namespace; the answer is by the values of `label`.
    async fn ask(&self, label: &str, query: &str) -> anyhow::Result<Series> {
        let query = query
            .replace("$w", &format!("{}s", self.step))
            .replace("$n", &self.namespace);
        let (start, end, step) = (
            self.start.to_string(),
            self.end.to_string(),
            self.step.to_string(),
        );
        let url = reqwest::Url::parse_with_params(
            &format!("{}/api/v1/query_range", self.url),
            [
                ("query", query.as_str()),
                ("start", &start),
                ("end", &end),
                ("step", &step),
            ],
        )
        .with_context(|| format!("--prometheus: {}", self.url))?;
        let request = self.client.get(url).timeout(ANSWER_LIMIT).send();
        let answer = request.await.map_err(reqwest::Error::without_url);
        let answer = answer.with_context(|| format!("--prometheus: {}", self.url))?;
        let answer: Answer = answer
            .json()
            .await
            .with_context(|| format!("{}: no answer of Prometheus", self.url))?;
        let Some(data) = answer.data else {
            bail!(
                "{}: {}: {query}",
                self.url,
                answer.error.unwrap_or_default()
            );
        };
        Series::read(label, data.result)
    }
}

fn round(at: f64) -> i64 {
    at.round() as i64
}
