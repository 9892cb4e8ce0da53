//! How a process is started, kept running and ended.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{anyhow, bail};
use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::home::Home;
use crate::platform::Platform;
use crate::process::Process;

const BACK_OFF_MIN: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(3);
/// A process that lived this long did not die of its start.
const STEADY_AFTER: Duration = Duration::from_secs(10);
const HOLD_POLL: Duration = Duration::from_millis(100);

/// The shell records its own pid and start time and then becomes the program, which keeps both:
/// no moment exists at which the program runs and nobody could find it.
const RECORD_AND_BECOME: &str = r#"
read -r stat < /proc/$$/stat
read -r boot < /proc/sys/kernel/random/boot_id
printf '%s\n%s\n' "$boot" "$stat" > "$0" && exec "$@""#;

/// What a program may see of its starter's environment.
const INHERITED: [&str; 6] = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "JAVA_HOME"];

/// A program to run, with nothing decided about where its files lie.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its log is `<name>.log`, its record `<name>.pid`.
    pub name: String,
    pub argv: Vec<OsString>,
    pub env: Vec<(String, String)>,
}

impl Program {
    pub fn new(name: impl Into<String>, argv: Vec<OsString>) -> Self {
        Self {
            name: name.into(),
            argv,
            env: Vec::new(),
        }
    }

    /// Runs it in the background; its output goes to its log.
    pub fn spawn(&self, home: &Home) -> io::Result<Child> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(home.log(&self.name))?;
        self.command(home)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    }

    /// Runs it to its end, feeding it `input`. A failure carries the last lines of its log.
    pub async fn run(&self, home: &Home, input: Option<&str>) -> anyhow::Result<()> {
        let log = File::create(home.log(&self.name))?;
        let mut command = self.command(home);
        command.stdout(log.try_clone()?).stderr(log);
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn()?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await?;
        }
        let status = child.wait().await?;
        if !status.success() {
            bail!(
                "{} failed ({status}){}",
                self.name,
                log_tail(home, &self.name)
            );
        }
        Ok(())
    }

    fn command(&self, home: &Home) -> Command {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(RECORD_AND_BECOME)
            .arg(record(home, &self.name))
            .args(&self.argv)
            .env_clear()
            .envs(
                INHERITED
                    .iter()
                    .filter_map(|&name| Some((name, std::env::var_os(name)?))),
            )
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .envs(own_settings(home, &self.name))
            .current_dir(home.root())
            .stdin(Stdio::null());
        command
    }

    /// Starts it again whenever it dies, until `stop`; then ends it.
    pub(crate) async fn keep_running(self, home: Home, stop: CancellationToken) {
        let ask = Stage::of(&self.name).signal();
        let mut back_off = BACK_OFF_MIN;
        while !stop.is_cancelled() {
            if is_held(&home, &self.name) {
                sleep(HOLD_POLL).await;
                continue;
            }
            let started = Instant::now();
            let died = match self.spawn(&home) {
                Ok(mut child) => {
                    tokio::select! {
                        status = child.wait() => format!("{status:?}"),
                        () = stop.cancelled() => {
                            self.end(&home, &mut child, ask).await;
                            return;
                        }
                    }
                }
                Err(error) => error.to_string(),
            };
            if started.elapsed() >= STEADY_AFTER {
                back_off = BACK_OFF_MIN;
            }
            report(&format!(
                "{} ended: {died}; again in {back_off:?}",
                self.name
            ));
            tokio::select! {
                () = sleep(back_off) => {}
                () = stop.cancelled() => {}
            }
            back_off = (back_off * 2).min(BACK_OFF_MAX);
        }
    }

    async fn end(&self, home: &Home, child: &mut Child, ask: Signal) {
        if let Some(process) = Process::recorded(&record(home, &self.name)) {
            process.end(ask, PATIENCE).await;
        } else {
            // It was stopped before it could record itself.
            let _ = child.start_kill();
        }
        let _ = child.wait().await;
        let _ = fs::remove_file(record(home, &self.name));
    }
}

/// How long a process may take to end before it is killed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The order in which processes end: nobody loses what it still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Services,
    Simulator,
    Kafka,
    Redis,
    Primaries,
    Replicas,
}

impl Stage {
    pub(crate) const ALL: [Self; 6] = [
        Self::Services,
        Self::Simulator,
        Self::Kafka,
        Self::Redis,
        Self::Primaries,
        Self::Replicas,
    ];

    pub(crate) fn of(name: &str) -> Self {
        match name {
            "simulator" => Self::Simulator,
            "kafka" => Self::Kafka,
            _ if name.starts_with("redis-") => Self::Redis,
            _ if name.starts_with("postgres-") && name.ends_with("-replica") => Self::Replicas,
            _ if name.starts_with("postgres-") => Self::Primaries,
            _ => Self::Services,
        }
    }

    pub(crate) fn signal(self) -> Signal {
        match self {
            // PostgreSQL's fast shutdown; on TERM it would wait for its clients.
            Self::Primaries | Self::Replicas => Signal::INT,
            _ => Signal::TERM,
        }
    }
}

/// Ends every recorded process of this home: what a killed supervisor left behind.
pub async fn end_recorded(home: &Home) -> io::Result<usize> {
    let mut found = Vec::new();
    for entry in fs::read_dir(home.run())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pid")
            && let Some(name) = path.file_stem().and_then(|stem| stem.to_str())
        {
            if let Some(process) = Process::recorded(&path) {
                found.push((Stage::of(name), process));
            }
            let _ = fs::remove_file(&path);
        }
    }
    for stage in Stage::ALL {
        let processes = found.iter().filter(|(of, _)| *of == stage);
        futures::future::join_all(
            processes.map(|(_, process)| process.end(stage.signal(), PATIENCE)),
        )
        .await;
    }
    Ok(found.len())
}

/// Where `name` records itself.
pub(crate) fn record(home: &Home, name: &str) -> std::path::PathBuf {
    home.run().join(format!("{name}.pid"))
}

/// What this home's owner, or a test, has set for `name` alone.
pub(crate) fn own_settings(home: &Home, name: &str) -> Vec<(String, String)> {
    let lines = fs::read_to_string(home.settings(name)).unwrap_or_default();
    let settings = lines.lines().filter_map(|line| line.split_once('='));
    settings
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// While this file exists, `name` is not started again.
pub(crate) fn hold(home: &Home, name: &str) -> std::path::PathBuf {
    home.run().join(format!("{name}.hold"))
}

fn is_held(home: &Home, name: &str) -> bool {
    hold(home, name).exists()
}

/// The last lines of a log, for a message.
pub(crate) fn log_tail(home: &Home, name: &str) -> String {
    let path = home.log(name);
    let log = fs::read(&path).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines[lines.len().saturating_sub(8)..].join("\n  ");
    format!("; the end of {}:\n  {tail}", path.display())
}

/// Adds the end of the log of `name` to a failure.
pub(crate) fn with_log<T>(
    platform: &Platform,
    name: &str,
    result: anyhow::Result<T>,
) -> anyhow::Result<T> {
    result.map_err(|error| anyhow!("{error:#}{}", log_tail(&platform.home, name)))
}

/// A line in the supervisor's log, which is its standard error.
#[expect(clippy::print_stderr, reason = "the supervisor's log")]
pub(crate) fn report(line: &str) {
    eprintln!("{} {line}", jiff::Timestamp::now());
}
