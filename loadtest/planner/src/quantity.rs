//! Kubernetes' quantities, as far as the chart uses them.

use serde::Deserialize;

/// CPU or memory, as a values file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Quantity {
    Number(f64),
    Text(String),
}

impl Quantity {
    pub fn millicores(&self) -> Option<f64> {
        match self {
            Self::Number(cores) => Some(cores * 1000.0),
            Self::Text(text) => match text.strip_suffix('m') {
                Some(millicores) => millicores.parse().ok(),
                None => text.parse::<f64>().ok().map(|cores| cores * 1000.0),
            },
        }
    }

    pub fn mib(&self) -> Option<f64> {
        let Self::Text(text) = self else { return None };
        let units = [
            ("Ki", 1.0 / 1024.0),
            ("Mi", 1.0),
            ("Gi", 1024.0),
            ("Ti", 1024.0 * 1024.0),
        ];
        units.into_iter().find_map(|(unit, mib)| {
            let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
            Some(number * mib)
        })
    }
}

/// Measured use and 20 %: whole units of use, rounded up, and the fraction of the result dropped.
/// 300m become 360m, 384Mi become 460Mi; the result is never below the use.
pub fn right_sized(used: f64) -> u64 {
    ceil(used) * 6 / 5
}

/// The next whole number; what binary fractions add to a whole one does not count.
pub fn ceil(value: f64) -> u64 {
    (value * (1.0 - 1e-12)).ceil() as u64
}

/// The next multiple of `step`.
pub fn ceil_to(value: f64, step: u64) -> u64 {
    ceil(value).next_multiple_of(step)
}

pub fn float(count: u64) -> f64 {
    count as f64
}
