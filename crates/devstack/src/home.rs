//! Where the platform keeps its state.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A state directory: everything in it belongs to devstack and goes with `reset`.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// Creates the directory, readable by its owner and traversable by the database's user.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
        let root = root.canonicalize()?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o711))?;
        let home = Self { root };
        for folder in [
            home.logs(),
            home.run(),
            home.mail(),
            home.root.join("settings"),
        ] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        Ok(home)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// Which processes run: one file each.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Where the user service puts its mails.
    pub fn mail(&self) -> PathBuf {
        self.root.join("mail")
    }

    /// The staff account of `make up`: `{"email", "password"}`.
    pub fn staff(&self) -> PathBuf {
        self.root.join("staff.json")
    }

    /// Settings of one process beside the usual: lines of `NAME=value`, read at its every start.
    pub fn settings(&self, name: &str) -> PathBuf {
        self.root.join("settings").join(format!("{name}.env"))
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// How the platform was started last.
    pub(crate) fn options(&self) -> PathBuf {
        self.root.join("options.json")
    }

    /// The private keys that access tokens are signed with.
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys.json")
    }

    /// What services sign callers with, between each other.
    pub fn caller_secret(&self) -> PathBuf {
        self.root.join("caller-secret")
    }

    pub(crate) fn kafka(&self) -> PathBuf {
        self.root.join("kafka")
    }

    pub(crate) fn simulator(&self) -> PathBuf {
        self.root.join("simulator.jsonl")
    }

    /// The databases' files: inside the home where the `postgres` user can reach them.
    pub fn postgres(&self) -> PathBuf {
        if !rustix::process::geteuid().is_root() || traversable(&self.root) {
            return self.root.join("postgres");
        }
        let mut hasher = DefaultHasher::new();
        self.root.hash(&mut hasher);
        PathBuf::from(format!("/var/tmp/cloudretail-{:016x}", hasher.finish()))
    }

    /// Base backups, and under `archive/` the log of every shard; beside the databases' files.
    pub fn backups(&self) -> PathBuf {
        self.beside_postgres("backups")
    }

    /// Databases that a restore is making.
    pub(crate) fn restoring(&self) -> PathBuf {
        self.beside_postgres("postgres.restoring")
    }

    /// What a restore has replaced.
    pub fn before_restore(&self) -> PathBuf {
        self.beside_postgres("postgres.before-restore")
    }

    fn beside_postgres(&self, name: &str) -> PathBuf {
        let postgres = self.postgres();
        match postgres.parent() == Some(self.root.as_path()) {
            true => self.root.join(name),
            false => postgres.with_extension(name),
        }
    }

    /// Removes all state. The caller has ended the processes.
    pub fn remove(&self) -> io::Result<()> {
        for folder in [
            self.postgres(),
            self.backups(),
            self.restoring(),
            self.before_restore(),
            self.root.clone(),
        ] {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn traversable(path: &Path) -> bool {
    path.ancestors().all(|folder| {
        folder
            .metadata()
            .is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    })
}
