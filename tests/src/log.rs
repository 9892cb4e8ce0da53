//! What a service's process has said.

use std::fs;
use std::time::Duration;

use devstack::platform::Platform;
use devstack::service::Service;
use testkit::eventually;

/// How often the service's log has this text.
pub fn count(platform: &Platform, service: Service, text: &str) -> usize {
    let log = fs::read_to_string(platform.home.log(service.name())).unwrap_or_default();
    log.matches(text).count()
}

/// Waits until the log has the text once more than `before`.
///
/// # Panics
/// When it does not come within `limit`.
pub async fn wait_for(
    platform: &Platform,
    service: Service,
    text: &str,
    before: usize,
    limit: Duration,
) {
    eventually(limit, async || {
        (count(platform, service, text) > before).then_some(())
    })
    .await;
}
