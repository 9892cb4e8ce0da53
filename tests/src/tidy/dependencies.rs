use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Finding, SERVICES, files};

/// What each of our crates may use of the others; services may use all but the last three.
const LAYERS: [(&str, &[&str]); 9] = [
    ("types", &[]),
    ("proto", &["types"]),
    ("auth", &["types"]),
    ("chassis", &["types", "proto", "auth"]),
    ("storage", &["types", "proto", "auth", "chassis"]),
    ("events", &["types", "proto", "auth", "chassis", "storage"]),
    ("simulator", &["types", "chassis"]),
    ("devstack", &["types", "proto"]),
    (
        "testkit",
        &[
            "types", "proto", "auth", "chassis", "storage", "events", "devstack",
        ],
    ),
];

const NOT_IN_PRODUCTION: [&str; 3] = ["simulator", "devstack", "testkit"];

/// Services → crates → `types`; never sideways, never back.
pub(super) fn check(root: &Path) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for folder in ["crates", "services"] {
        for manifest in files(root, Path::new(folder), "toml")? {
            if manifest.ends_with("Cargo.toml") {
                findings.extend(check_manifest(root, manifest)?);
            }
        }
    }
    Ok(findings)
}

fn check_manifest(root: &Path, file: PathBuf) -> io::Result<Vec<Finding>> {
    let text = fs::read_to_string(root.join(&file))?;
    let manifest: toml::Table = text.parse().map_err(io::Error::other)?;
    let name = manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(toml::Value::as_str)
        .unwrap_or_default();
    let mut findings = Vec::new();
    for (section, is_production) in [("dependencies", true), ("dev-dependencies", false)] {
        let table = manifest.get(section).and_then(toml::Value::as_table);
        for used in table.into_iter().flat_map(toml::Table::keys) {
            if is_ours(used) && !may_use(name, used, is_production) {
                let fault = format!("{name} must not depend on {used} ({section})");
                findings.push(Finding {
                    file: file.clone(),
                    fault,
                });
            }
        }
    }
    Ok(findings)
}

fn is_ours(name: &str) -> bool {
    SERVICES.contains(&name) || LAYERS.iter().any(|(layer, _)| *layer == name)
}

fn may_use(name: &str, used: &str, is_production: bool) -> bool {
    if SERVICES.contains(&used) {
        return false;
    }
    if !is_production && NOT_IN_PRODUCTION.contains(&used) {
        return true;
    }
    match LAYERS.iter().find(|(layer, _)| *layer == name) {
        Some((_, allowed)) => allowed.contains(&used),
        None => !NOT_IN_PRODUCTION.contains(&used),
    }
}
