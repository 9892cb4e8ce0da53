//! The append-only file that lets a restarted simulator remember.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use anyhow::Context;

use crate::provider::Record;

pub(crate) struct Journal(File);

impl Journal {
    /// Opens the file, made when absent, and returns what it holds, the oldest first.
    /// A last line without its end was never answered, and is cut off.
    pub(crate) fn open(path: &Path) -> anyhow::Result<(Self, Vec<Record>)> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("state file {}", path.display()))?;
        let text = std::fs::read_to_string(path)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64)?;
        let records = text[..whole]
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .with_context(|| format!("state file {}", path.display()))?;
        Ok((Self(file), records))
    }

    /// On return the record is in the file, and outlives this process (not a power loss).
    pub(crate) fn append(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}
