//! Money at the provider that the restored books know nothing of.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::platform::Platform;
use crate::verify::{self, Charge};

const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What was given back: how many charges, and how much in each currency.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GivenBack {
    pub charges: usize,
    pub minor_units: BTreeMap<String, i64>,
}

/// Lets go of what is held and refunds what was captured for orders that no shard has.
///
/// # Errors
///
/// When the books or the provider cannot be read, or the provider refuses. It may be repeated.
pub(super) async fn give_back(platform: &Platform) -> anyhow::Result<GivenBack> {
    let http = reqwest::Client::builder().timeout(ANSWER_LIMIT).build()?;
    let mut given = GivenBack::default();
    for charge in verify::strangers(platform).await? {
        let Charge {
            authorization_id,
            currency,
            ..
        } = &charge;
        let (call, body, minor_units) = match charge.captured - charge.refunded {
            0 => ("void", None, charge.authorized),
            kept => {
                let amount = json!({"amount": {"minorUnits": kept, "currency": currency}});
                ("refunds", Some(amount), kept)
            }
        };
        let url = format!(
            "{}/v1/authorizations/{authorization_id}/{call}",
            platform.simulator_url()
        );
        // The same for ever: a repeat gives nothing back twice.
        let key = format!("restore-{call}-{authorization_id}");
        let mut request = http.post(url).header("idempotency-key", key);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await?.error_for_status();
        answer.with_context(|| format!("the money of {}", charge.reference))?;
        given.charges += 1;
        *given.minor_units.entry(currency.clone()).or_default() += minor_units;
    }
    Ok(given)
}
