//! The chart's values, laid over each other as Helm does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Service;
use crate::quantity::Quantity;

/// What the planner reads of them.
#[derive(Clone, Debug)]
pub struct Values {
    pub services: BTreeMap<Service, Wanted>,
    /// Whether pods follow requests per second.
    pub custom_metrics: bool,
    pub sale: Sale,
    pub databases: Databases,
    pub kafka: Kafka,
    merged: Value,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Wanted {
    pub autoscaling: Autoscaling,
    pub resources: Resources,
    #[serde(default)]
    pub settings: Settings,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    pub enabled: bool,
    pub min: u64,
    pub max: u64,
    pub cpu: u64,
    pub requests_per_second: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Resources {
    pub requests: Share,
    pub limits: Share,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Share {
    pub cpu: Option<Quantity>,
    pub memory: Option<Quantity>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Connections to each shard's primary, and as many to its replicas.
    pub pool_size: u64,
}

impl Default for Settings {
    fn default() -> Self {
        // As the services' own.
        Self { pool_size: 5 }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct Sale {
    pub enabled: bool,
    pub services: BTreeMap<Service, Pods>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Pods {
    pub min: u64,
    pub max: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Databases {
    pub mode: String,
    pub shards: Vec<Shard>,
    pub max_connections: u64,
    pub pooler: Pooler,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Shard {
    pub name: String,
    pub storage: Quantity,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pooler {
    pub enabled: bool,
    pub instances: u64,
    pub pool_size: u64,
    pub reserve_size: u64,
    pub clients_max: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Kafka {
    pub partitions: u64,
    pub storage: Quantity,
}

impl Values {
    /// The chart's own values, and these files over them.
    pub fn read(chart: &Path, files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut merged = Value::Null;
        for file in [&chart.join("values.yaml")].into_iter().chain(files) {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let layer = serde_saphyr::from_str(&text)
                .map_err(|error| anyhow!("{}: {error}", file.display()))?;
            merge(&mut merged, layer);
        }
        Self::of(merged)
    }

    /// These values with others over them.
    pub fn with(&self, layer: Value) -> anyhow::Result<Self> {
        let mut merged = self.merged.clone();
        merge(&mut merged, layer);
        Self::of(merged)
    }

    fn of(merged: Value) -> anyhow::Result<Self> {
        let mut services = BTreeMap::new();
        for service in Service::ALL {
            let path = format!("services.{service}");
            let mut wanted = merged["defaults"].clone();
            merge(&mut wanted, merged["services"][service.name()].clone());
            services.insert(service, part(&path, wanted)?);
        }
        Ok(Self {
            services,
            custom_metrics: part(
                "autoscaling.customMetrics",
                merged["autoscaling"]["customMetrics"].clone(),
            )?,
            sale: part("sale", merged["sale"].clone())?,
            databases: part("databases", merged["databases"].clone())?,
            kafka: part("kafka", merged["kafka"].clone())?,
            merged,
        })
    }

    /// The most pods that a service may have on ordinary days.
    pub fn ordinary_max(&self, service: Service) -> u64 {
        let own = &self.services[&service].autoscaling;
        if own.enabled { own.max } else { own.min }
    }

    /// The most pods that a service may have, in a sale where one is planned.
    pub fn pods_max(&self, service: Service) -> u64 {
        match self.sale.services.get(&service) {
            Some(sale) if self.sale.enabled && self.services[&service].autoscaling.enabled => {
                sale.max
            }
            _ => self.ordinary_max(service),
        }
    }
}

fn part<T: DeserializeOwned>(path: &str, value: Value) -> anyhow::Result<T> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let inner = error.path().to_string();
        match inner.as_str() {
            "." => anyhow!("values: {path}: {}", error.inner()),
            inner => anyhow!("values: {path}.{inner}: {}", error.inner()),
        }
    })
}

/// Maps are merged; everything else is replaced, and null takes away.
fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                match value {
                    Value::Null => drop(under.remove(&key)),
                    value => merge(under.entry(key).or_insert(Value::Null), value),
                }
            }
        }
        (_, Value::Null) => {}
        (under, over) => *under = over,
    }
}
