use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use crate::capacity::Clients;

/// What `make load` writes, as far as it matters here.
#[derive(Deserialize)]
struct Summary {
    scenario: String,
    shape: String,
    whole: Whole,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whole {
    requests_per_second: f64,
    error_ratio: f64,
    p95_ms: f64,
}

/// The names of scenario and shape, and what its clients saw.
pub fn read_clients(file: &Path) -> anyhow::Result<(String, Clients)> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let json = &mut serde_json::Deserializer::from_str(&text);
    let summary: Summary =
        serde_path_to_error::deserialize(json).with_context(|| file.display().to_string())?;
    let clients = Clients {
        requests_per_second: summary.whole.requests_per_second,
        p95_ms: summary.whole.p95_ms,
        errors: summary.whole.error_ratio,
    };
    Ok((format!("{}, {}", summary.scenario, summary.shape), clients))
}
