//! Fail points: named places where a test ends the process. They exist only with the `faults` feature.

#[cfg(feature = "faults")]
static ARMED: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// Arms one fail point for the life of the process.
#[cfg(feature = "faults")]
pub(crate) fn arm(point: &str) {
    // The first one armed stays: a process has one.
    let _ = ARMED.set(point.to_owned());
}

/// Where the point is armed: says `fault point <name>` on standard error and pauses for ever.
#[cfg(feature = "faults")]
#[expect(clippy::print_stderr, reason = "the test waits for this line")]
pub async fn point(name: &str) {
    if ARMED.get().is_some_and(|armed| armed == name) {
        eprintln!("fault point {name}");
        std::future::pending::<()>().await;
    }
}

/// Nothing: this build has no fail points.
#[cfg(not(feature = "faults"))]
#[expect(clippy::unused_async, reason = "the same shape as with the feature")]
pub async fn point(_name: &str) {}
