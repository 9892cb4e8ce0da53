//! Processes that outlive the one that started them, told apart from strangers.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(20);

/// What `/proc` counts times in: the kernel's `USER_HZ`, the same on every common processor.
const TICKS_PER_SECOND: u32 = 100;

/// A process by pid and start time: a pid alone may since belong to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pid: i32,
    started: u64,
}

impl Process {
    /// The running process that wrote `file` when it started, see [`crate::program::Program`].
    pub fn recorded(file: &Path) -> Option<Self> {
        let record = fs::read_to_string(file).ok()?;
        let (boot, stat) = record.split_once('\n')?;
        if boot != boot_id()? {
            return None;
        }
        let (process, _) = parse(stat)?;
        process.is_alive().then_some(process)
    }

    pub fn pid(self) -> i32 {
        self.pid
    }

    /// A zombie counts as dead.
    pub fn is_alive(self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        parse(&stat).is_some_and(|(process, state)| process == self && state != 'Z')
    }

    /// Sends a signal to this very process, or to nobody.
    pub fn signal(self, signal: Signal) {
        // The descriptor is opened before the check, so that a pid cannot change hands after it.
        let descriptor =
            Pid::from_raw(self.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        if let Some(descriptor) = descriptor
            && self.is_alive()
        {
            // It may have ended meanwhile, which is as good.
            let _ = pidfd_send_signal(descriptor, signal);
        }
    }

    /// Asks it to end, and insists after `patience`. Returns when it is gone.
    pub async fn end(self, ask: Signal, patience: Duration) {
        self.signal(ask);
        let insist_at = Instant::now() + patience;
        while self.is_alive() {
            if Instant::now() >= insist_at {
                self.signal(Signal::KILL);
            }
            sleep(POLL).await;
        }
    }

    /// Its physical memory in bytes; a page shared by n processes counts as a nth (PSS).
    pub fn memory(self) -> Option<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).ok()?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024)
    }

    /// How long processors have worked for it, in steps of 10 ms (proc(5), fields 14 and 15).
    pub fn cpu_time(self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        parse(&stat).filter(|(process, _)| *process == self)?;
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace().skip(11);
        let user: u32 = fields.next()?.parse().ok()?;
        let system: u32 = fields.next()?.parse().ok()?;
        Some(Duration::from_secs(1) * (user + system) / TICKS_PER_SECOND)
    }

    /// How long ago it started, in steps of 10 ms.
    pub fn age(self) -> Option<Duration> {
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
        let started = Duration::from_secs(self.started) / TICKS_PER_SECOND;
        Some(Duration::from_secs_f64(uptime).saturating_sub(started))
    }

    /// Itself and its descendants.
    pub fn family(self) -> Vec<Self> {
        let mut family = vec![self];
        let mut at = 0;
        while at < family.len() {
            let pid = family[at].pid;
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            family.extend(
                children
                    .unwrap_or_default()
                    .split_whitespace()
                    .filter_map(|child| child.parse().ok())
                    .filter_map(Self::running),
            );
            at += 1;
        }
        family
    }

    /// The process that has this pid now.
    pub fn running(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        parse(&stat).map(|(process, _)| process)
    }

    /// A name for what belongs to this process alone.
    pub fn tag(self) -> String {
        format!("{}_{}", self.pid, self.started)
    }

    /// The reverse of [`Process::tag`].
    pub fn from_tag(tag: &str) -> Option<Self> {
        let (pid, started) = tag.split_once('_')?;
        Some(Self {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        })
    }
}

fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// Pid, state and start time of a line of `/proc/<pid>/stat` (proc(5), fields 1, 3 and 22).
fn parse(stat: &str) -> Option<(Process, char)> {
    let pid = stat.split(' ').next()?.parse().ok()?;
    // The command's name may contain spaces and brackets of its own.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((Process { pid, started }, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_brackets_is_no_obstacle() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99 1";

        let (process, state) = parse(stat).unwrap();

        assert_eq!((process.pid, process.started, state), (42, 12345, 'S'));
    }

    #[test]
    fn another_process_with_the_same_pid_is_not_alive() {
        let this = Process::running(std::process::id().cast_signed()).unwrap();
        let stranger = Process {
            started: this.started + 1,
            ..this
        };

        assert!(this.is_alive());
        assert!(!stranger.is_alive());
    }

    #[test]
    fn work_and_age_are_told_by_the_kernel() {
        let this = Process::running(std::process::id().cast_signed()).unwrap();
        let outside = std::time::Instant::now();
        let (worked, age) = (this.cpu_time().unwrap(), this.age().unwrap());
        let inside = std::time::Instant::now();

        while this.cpu_time().unwrap() < worked + Duration::from_millis(50) {
            assert!(inside.elapsed() < Duration::from_secs(20), "no work");
        }

        let steps = Duration::from_millis(20);
        let at_least = inside.elapsed().saturating_sub(steps);
        let grown = this.age().unwrap() - age;
        assert!(grown >= at_least, "{grown:?}");
        assert!(grown <= outside.elapsed() + steps, "{grown:?}");
    }

    #[test]
    fn a_record_of_another_boot_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.pid");
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        fs::write(&file, format!("{}\n{stat}", boot_id().unwrap())).unwrap();
        let own = Process::recorded(&file);
        fs::write(&file, format!("another-boot\n{stat}")).unwrap();

        let foreign = Process::recorded(&file);

        assert!(own.is_some());
        assert_eq!(foreign, None);
    }
}
