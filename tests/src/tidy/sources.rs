use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Finding, SERVICES, files};

const LINES_MAX: usize = 400;

/// Names that say nothing: whatever would go there belongs somewhere else.
const DRAWERS: [&str; 6] = ["utils", "util", "helpers", "common", "misc", "manager"];

/// Beginnings of statements, as they stand inside a string.
const SQL: [&str; 6] = [
    "sqlx::query",
    "\"select ",
    "\"insert into ",
    "\"delete from ",
    "\"update ",
    "\"with ",
];

/// Files that hold the rules: no I/O, nothing of the wire.
const RULES: [&str; 10] = [
    "cart.rs",
    "category.rs",
    "checkout.rs",
    "ledger.rs",
    "order.rs",
    "payment.rs",
    "product.rs",
    "reservation.rs",
    "stock.rs",
    "user.rs",
];

/// Marks of I/O and of generated types.
const NOT_IN_RULES: [&str; 3] = [".await", "async fn", "proto::"];

pub(super) fn check(root: &Path) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for folder in ["crates", "loadtest", "services", "tests"] {
        for file in files(root, Path::new(folder), "rs")? {
            let text = fs::read_to_string(root.join(&file))?;
            findings.extend(check_file(file, &text));
        }
    }
    Ok(findings)
}

fn check_file(file: PathBuf, text: &str) -> Vec<Finding> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        faults.push(format!(
            "{lines} lines: {LINES_MAX} are the most, make a folder of it"
        ));
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    if stem == "mod" {
        faults.push("a module's file stands beside its folder, not in it".to_owned());
    }
    if DRAWERS.contains(&stem.as_ref()) {
        faults.push(format!("`{stem}` is a drawer: name what it does"));
    }
    if is_service_source(&file) {
        faults.extend(check_service_source(&file, text));
    }
    let finding = |fault| Finding {
        file: file.clone(),
        fault,
    };
    faults.into_iter().map(finding).collect()
}

fn check_service_source(file: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let in_store = file.components().any(|part| {
        let part = part.as_os_str();
        part == "store.rs" || part == "store"
    });
    for (number, line) in text.lines().enumerate() {
        if !in_store && SQL.iter().any(|mark| line.contains(mark)) {
            faults.push(format!("line {}: SQL stands in store.rs only", number + 1));
        }
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // The gateway has no rules: its `stock.rs` is the routes of stock.
    let is_rules = RULES.contains(&name.as_ref())
        && file.components().count() == 4
        && !file.starts_with("services/gateway");
    for mark in NOT_IN_RULES {
        if is_rules && text.contains(mark) {
            faults.push(format!(
                "`{mark}`: the rules do no I/O and know nothing of the wire"
            ));
        }
    }
    faults
}

/// `services/<service>/src/…`
fn is_service_source(file: &Path) -> bool {
    let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
    match &parts[..] {
        [services, service, src, ..] => {
            services == "services" && SERVICES.contains(&service.as_ref()) && src == "src"
        }
        _ => false,
    }
}
