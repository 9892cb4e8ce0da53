//! One platform for all tests of a binary that do not disturb each other.

use devstack::platform::Platform;
use devstack::service::Service;
use devstack::staff;
use testkit::{Setting, System};
use tokio::sync::OnceCell;

static SYSTEM: OnceCell<System> = OnceCell::const_new();

/// What is tested is what is answered, not how soon on a machine that is busy with tests.
const PATIENT: [Setting<'static>; 5] = [
    (Service::Gateway, "READ_BUDGET_MS", "5000"),
    (Service::Gateway, "WRITE_BUDGET_MS", "15000"),
    (Service::Gateway, "PAYMENT_BUDGET_MS", "15000"),
    (Service::Order, "ANSWER_WAIT_MS", "10000"),
    // Every test logs in as the same member of staff.
    (Service::Gateway, "ACCOUNT_LOGINS_PER_MINUTE", "10000"),
];

/// The platform, with a staff account; started by the first test that asks.
///
/// # Panics
/// When it does not start.
pub async fn platform() -> &'static Platform {
    let system = SYSTEM.get_or_init(async || {
        let system = System::start(&PATIENT).await;
        if let Err(error) = staff::create(&system.platform).await {
            panic!("no staff account: {error:#}");
        }
        system
    });
    &system.await.platform
}
