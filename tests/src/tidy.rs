//! Keeps the tree in the shape that `ARCHITECTURE.md` describes.

mod dependencies;
mod sources;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One thing that is out of place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Relative to the tree's root.
    pub file: PathBuf,
    pub fault: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.fault)
    }
}

/// Files that every backend has: open one service and you know the other five.
const BACKEND_FILES: [&str; 7] = [
    "main.rs",
    "lib.rs",
    "config.rs",
    "error.rs",
    "store.rs",
    "grpc.rs",
    "events.rs",
];

const GATEWAY_FILES: [&str; 15] = [
    "main.rs",
    "lib.rs",
    "config.rs",
    "error.rs",
    "routes.rs",
    "auth.rs",
    "backends.rs",
    "rate_limit.rs",
    "cache.rs",
    "users.rs",
    "products.rs",
    "carts.rs",
    "orders.rs",
    "stock.rs",
    "payments.rs",
];

pub(crate) const SERVICES: [&str; 6] = [
    "gateway",
    "user",
    "product",
    "order",
    "inventory",
    "payment",
];

/// Everything that is out of place in the tree below `root`.
pub fn check(root: &Path) -> io::Result<Vec<Finding>> {
    let mut findings = missing_files(root);
    findings.extend(dependencies::check(root)?);
    findings.extend(sources::check(root)?);
    Ok(findings)
}

fn missing_files(root: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in SERVICES {
        let expected: &[&str] = if service == "gateway" {
            &GATEWAY_FILES
        } else {
            &BACKEND_FILES
        };
        for name in expected {
            let file = Path::new("services").join(service).join("src").join(name);
            if !root.join(&file).is_file() {
                let fault = "every service has this file".to_owned();
                findings.push(Finding { file, fault });
            }
        }
    }
    findings
}

/// Every file below `folder` with this extension, relative to `root`, in order.
fn files(root: &Path, folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(root.join(folder))?
        .map(|entry| entry.map(|entry| folder.join(entry.file_name())))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if root.join(&path).is_dir() {
            if !is_hidden && !path.ends_with("target") {
                found.extend(files(root, &path, extension)?);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    Ok(found)
}
