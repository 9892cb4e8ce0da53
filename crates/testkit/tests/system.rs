//! The six binaries as processes, disturbed.

use testkit::{Service, System};

#[tokio::test]
async fn a_killed_service_comes_back_with_the_settings_that_it_was_given_meanwhile() {
    let system = System::start(&[]).await;
    let platform = &system.platform;
    let before = platform.process("order").unwrap();

    platform
        .set(Service::Order, "LOG_FILTER", Some("debug"))
        .unwrap();
    platform.restart(Service::Order).await.unwrap();

    let after = platform.process("order").unwrap();
    let environment = std::fs::read(format!("/proc/{}/environ", after.pid())).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    assert_ne!(before, after);
    assert!(environment.contains("ORDER_LOG_FILTER=debug"));
}
