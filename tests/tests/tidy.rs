//! The tree keeps its shape, and the check that says so notices when it does not.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::tidy;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A copy of what the check reads, to be spoilt.
fn copy() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for folder in ["crates", "loadtest", "services", "tests"] {
        copy_folder(&root().join(folder), &copy.path().join(folder));
    }
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else if entry
            .path()
            .extension()
            .is_some_and(|e| e == "rs" || e == "toml")
        {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn append(file: PathBuf, text: &str) {
    let old = fs::read_to_string(&file).unwrap();
    fs::write(file, old + text).unwrap();
}

fn faults(root: &Path) -> Vec<String> {
    let findings = tidy::check(root).unwrap();
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_tree_is_tidy() {
    assert_eq!(faults(&root()), Vec::<String>::new());
}

#[test]
fn sql_in_grpc_rs_is_found() {
    let copy = copy();
    let grpc = copy.path().join("services/order/src/grpc.rs");
    append(
        grpc,
        "\nconst STOLEN: &str = \"select order_id from orders\";\n",
    );

    let faults = faults(copy.path());

    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].starts_with("services/order/src/grpc.rs"),
        "{faults:?}"
    );
}

#[test]
fn a_service_that_depends_on_another_is_found() {
    let copy = copy();
    let manifest = copy.path().join("services/order/Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let doctored = text.replace("[dependencies]", "[dependencies]\npayment.workspace = true");
    fs::write(manifest, doctored).unwrap();

    let faults = faults(copy.path());

    assert_eq!(
        faults,
        ["services/order/Cargo.toml: order must not depend on payment (dependencies)"]
    );
}

#[test]
fn a_missing_a_long_and_a_misnamed_file_are_found() {
    let copy = copy();
    let services = copy.path().join("services");
    fs::remove_file(services.join("payment/src/events.rs")).unwrap();
    fs::write(services.join("user/src/utils.rs"), "").unwrap();
    fs::write(services.join("user/src/long.rs"), "\n".repeat(401)).unwrap();

    let faults = faults(copy.path());

    assert_eq!(faults.len(), 3, "{faults:?}");
}

#[test]
fn rules_that_wait_are_found() {
    let copy = copy();
    append(
        copy.path().join("services/order/src/order.rs"),
        "\n// x.await\n",
    );

    let faults = faults(copy.path());

    assert_eq!(faults.len(), 1, "{faults:?}");
}
