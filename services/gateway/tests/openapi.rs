//! The API's description in git is the one that the code makes.

use std::path::Path;

/// After an intended change: `UPDATE_OPENAPI=1 cargo test -p gateway --test openapi`.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the switch of a test is no setting"
)]
fn the_description_in_git_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let made = gateway::description().to_pretty_json().unwrap() + "\n";

    if std::env::var("UPDATE_OPENAPI").is_ok() {
        std::fs::write(&path, &made).unwrap();
    }

    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "services/gateway/openapi.json is out of date: run with UPDATE_OPENAPI=1"
    );
}
