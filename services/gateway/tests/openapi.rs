//! The API's description in git is the one that the code makes.

use std::collections::BTreeSet;
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

#[test]
fn every_operation_has_a_name_of_its_own() {
    let description = serde_json::to_value(gateway::description()).unwrap();

    let operations = description["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|item| item.as_object().unwrap().values());
    let names: Vec<&str> = operations
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();

    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(unique.len(), names.len());
    assert_eq!(names.len(), 37);
}

#[test]
fn the_description_allows_what_is_answered_and_taken() {
    let description = serde_json::to_value(gateway::description()).unwrap();

    let body = |path: &str| description["paths"][path]["post"]["requestBody"].clone();

    // Requests forbid unknown fields, so that nothing can be all of such a schema and of another.
    assert!(!description.to_string().contains("allOf"));
    assert_ne!(body("/api/orders/{id}/cancel")["required"], true);
    assert_ne!(body("/api/orders/{id}/fulfillments")["required"], true);
    assert_eq!(body("/api/orders")["required"], true);
}
