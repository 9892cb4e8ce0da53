//! Two PostgreSQL primaries, each with a streaming replica.

mod failover;

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::backup::archive;
use crate::home::Home;
use crate::platform::Platform;
use crate::program::{Program, with_log};
use crate::service::{Service, Shard};
use crate::wait;

pub use failover::{Promotion, promote};

const BIN: &str = "/usr/lib/postgresql/15/bin";
const DATABASES: &str = include_str!("../assets/databases.sql");

/// What differs between a platform to look at and one to test on.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct Durability {
    /// Off, a power cut loses data; a killed process does not.
    pub fsync: bool,
    /// How far the replicas stay behind on purpose.
    pub replica_delay: Duration,
}

/// One server of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instance {
    Primary(Shard),
    Replica(Shard),
}

impl Instance {
    pub(crate) const ALL: [Self; 4] = [
        Self::Primary(Shard::A),
        Self::Primary(Shard::B),
        Self::Replica(Shard::A),
        Self::Replica(Shard::B),
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Primary(shard) => format!("postgres-{shard}"),
            Self::Replica(shard) => format!("postgres-{shard}-replica"),
        }
    }

    fn folder(self, home: &Home) -> PathBuf {
        home.postgres().join(self.name())
    }

    /// Says how to start it on this data.
    pub(crate) fn program_in(self, folder: PathBuf) -> Program {
        let mut argv = as_postgres();
        argv.extend([tool("postgres"), "-D".into(), folder.into()]);
        Program::new(self.name(), argv)
    }

    fn shard(self) -> Shard {
        match self {
            Self::Primary(shard) | Self::Replica(shard) => shard,
        }
    }

    fn port(self, platform: &Platform) -> u16 {
        match self {
            Self::Primary(shard) => platform.ports.primary(shard),
            Self::Replica(shard) => platform.ports.replica(shard),
        }
    }

    /// Writes its configuration, and says how to start it.
    pub(crate) fn program(
        self,
        platform: &Platform,
        durability: Durability,
    ) -> anyhow::Result<Program> {
        let folder = self.folder(&platform.home);
        self.configure(platform, durability)?;
        Ok(self.program_in(folder))
    }

    /// Writes its configuration.
    pub(crate) fn configure(
        self,
        platform: &Platform,
        durability: Durability,
    ) -> anyhow::Result<()> {
        let file = self.folder(&platform.home).join("postgresql.conf");
        Ok(fs::write(file, self.configuration(platform, durability)?)?)
    }

    pub(crate) fn configuration(
        self,
        platform: &Platform,
        durability: Durability,
    ) -> anyhow::Result<String> {
        let on_off = if durability.fsync { "on" } else { "off" };
        let mut text = format!(
            "# Written by devstack at every start.
cluster_name = '{name}'
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 48MB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
shared_preload_libraries = 'pg_stat_statements'
fsync = {on_off}
full_page_writes = {on_off}
wal_level = logical
max_wal_size = 1GB
# A replica that was away for long still finds what it missed.
wal_keep_size = 512MB
wal_retrieve_retry_interval = 200ms
hot_standby_feedback = on
{archive}",
            name = self.name(),
            port = self.port(platform),
            archive = archive::settings(&platform.home, self.shard()),
        );
        match self {
            Self::Primary(_) => writeln!(text, "synchronous_standby_names = 'ANY 1 (*)'")?,
            Self::Replica(shard) => {
                let port = platform.ports.primary(shard);
                let delay = durability.replica_delay.as_millis();
                writeln!(
                    text,
                    "primary_conninfo = 'host=127.0.0.1 port={port} user=postgres application_name={}'
recovery_min_apply_delay = {delay}ms",
                    self.name(),
                )?;
            }
        }
        Ok(text)
    }

    /// Returns when it answers queries.
    pub(crate) async fn ready(self, platform: &Platform) -> anyhow::Result<()> {
        let port = self.port(platform).to_string();
        let name = self.name();
        let answered = wait::until(&name, wait::START_LIMIT, async || {
            let status = Command::new(tool("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &port])
                .status()
                .await?;
            if !status.success() {
                bail!("it does not answer");
            }
            Ok(())
        });
        with_log(platform, &name, answered.await)
    }
}

/// Makes the four data directories at once, so that an interrupted start leaves all or nothing.
///
/// The replicas are copies of a primary that never ran: they take everything from its log.
pub(crate) async fn create_folders(home: &Home) -> anyhow::Result<()> {
    let done = home.postgres();
    if !done.exists() && home.before_restore().exists() {
        // A restore was killed between its two renames.
        fs::rename(home.before_restore(), &done)?;
    }
    if done.exists() {
        return Ok(());
    }
    let new = done.with_extension("new");
    create_folder(&new).await?;
    let first = new.join(Instance::ALL[0].name());
    let mut initdb = as_postgres();
    initdb.push(tool("initdb"));
    initdb.extend(
        "--username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync -D"
            .split(' ')
            .map(OsString::from),
    );
    initdb.push(first.clone().into());
    run(&initdb).await?;
    for instance in &Instance::ALL[1..] {
        let folder = new.join(instance.name());
        copy(&first, &folder).await?;
        if let Instance::Replica(_) = instance {
            fs::write(folder.join("standby.signal"), "")?;
        }
    }
    fs::rename(new, done)?;
    Ok(())
}

/// Makes a folder that belongs to the database's user, in place of an older one.
pub(crate) async fn create_folder(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::DirBuilder::new().mode(0o700).create(folder)?;
    if let Some((user, group)) = postgres_ids().await? {
        chown(folder, Some(user), Some(group))?;
    }
    Ok(())
}

/// Copies a server's folder as its user.
pub(crate) async fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    run_as_postgres(&["cp".as_ref(), "-a".as_ref(), from.as_ref(), to.as_ref()]).await?;
    Ok(())
}

/// Runs a command as the database's user.
pub(crate) async fn run_as_postgres(command: &[&OsStr]) -> anyhow::Result<String> {
    let mut argv = as_postgres();
    argv.extend(command.iter().map(OsString::from));
    run(&argv).await
}

/// Copies a running primary into a new folder, with the log that the copy needs.
pub(crate) async fn copy_running(
    platform: &Platform,
    shard: Shard,
    folder: &Path,
) -> anyhow::Result<()> {
    let port = platform.ports.primary(shard).to_string();
    let base = tool("pg_basebackup");
    let mut command = vec![base.as_os_str()];
    command.extend(["-h", "127.0.0.1", "-U", "postgres", "-p", &port].map(OsStr::new));
    command.extend(["--checkpoint=fast", "--wal-method=stream", "-D"].map(OsStr::new));
    command.push(folder.as_os_str());
    run_as_postgres(&command).await?;
    Ok(())
}

/// Makes every service's roles and database on both pairs, where they are missing.
pub(crate) async fn create_databases(platform: &Platform) -> anyhow::Result<()> {
    let made = Service::BACKENDS.into_iter().flat_map(|service| {
        Shard::ALL.map(|shard| async move {
            let local = service.commits_locally().to_string();
            let variables = [("service", service.name()), ("commits_locally", &local)];
            psql(platform.ports.primary(shard), &variables, DATABASES).await
        })
    });
    futures::future::try_join_all(made).await?;
    Ok(())
}

/// Runs a script as the superuser, and returns what it printed. `:"name"` is the identifier and
/// `:'name'` the text of a variable.
pub async fn psql(port: u16, variables: &[(&str, &str)], script: &str) -> anyhow::Result<String> {
    let mut command = Command::new(tool("psql"));
    command
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
        .args(["-h", "127.0.0.1", "-U", "postgres", "-d", "postgres", "-p"])
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in variables {
        command.arg("-v").arg(format!("{name}={value}"));
    }
    let mut child = command.spawn().context("cannot run psql")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        bail!("psql failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// One of PostgreSQL's own programs.
pub fn tool(name: &str) -> OsString {
    Path::new(BIN).join(name).into()
}

/// PostgreSQL refuses to run as root.
fn as_postgres() -> Vec<OsString> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    "setpriv --reuid=postgres --regid=postgres --init-groups --"
        .split(' ')
        .map(OsString::from)
        .collect()
}

async fn postgres_ids() -> anyhow::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let entry = run(&["getent".into(), "passwd".into(), "postgres".into()]).await?;
    let mut fields = entry.split(':').skip(2);
    let mut id = || -> anyhow::Result<u32> {
        let field = fields.next().context("the user postgres has no id")?;
        Ok(field.parse()?)
    };
    Ok(Some((id()?, id()?)))
}

async fn run(argv: &[OsString]) -> anyhow::Result<String> {
    let (program, arguments) = argv.split_first().context("an empty command")?;
    let output = Command::new(program)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        bail!(
            "{} failed: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}
