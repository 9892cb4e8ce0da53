//! What the running platform tells of itself: which requests are traced, where the traces of
//! failures are found, and that no secret is in any of it.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod sampling;
mod secrets;

use devstack::platform::Platform;
use devstack::service::Service;

async fn metrics(platform: &Platform, service: Service) -> String {
    let url = format!("{}/metrics", platform.admin_url(service));
    reqwest::get(url).await.unwrap().text().await.unwrap()
}
