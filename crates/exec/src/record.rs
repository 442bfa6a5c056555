//! What is written down about processes, so that a restarted server finds or ends them.
//!
//! A process is known by its id, its start time and the boot: an id alone is given to others later.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::limits::{KILL_TIMEOUT, POLL_INTERVAL};

/// One process of this machine, for all time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub pid: i32,
    pub started_ticks: u64,
    pub boot_id: String,
}

impl Identity {
    /// `None` when there is no such process.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Some(Self { pid, started_ticks: started_ticks(pid)?, boot_id: boot_id() })
    }

    /// A zombie lives no more: it has done all that it will ever do.
    pub(crate) fn lives(&self) -> bool {
        self.boot_id == boot_id()
            && state(self.pid).is_some_and(|(letter, ticks)| {
                ticks == self.started_ticks && letter != 'Z' && letter != 'X'
            })
    }

    /// Ends the process and waits until it has ended; false when it lived no more.
    pub(crate) fn kill(&self) -> io::Result<bool> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(false) };
        // The descriptor is taken before the look, so that the id cannot change hands in between.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
            return self.kill_by_id(pid);
        };
        if !self.lives() {
            return Ok(false);
        }
        pidfd_send_signal(&process, Signal::KILL)?;
        self.wait_for_end()
    }

    /// For kernels before 5.3.
    fn kill_by_id(&self, pid: Pid) -> io::Result<bool> {
        if !self.lives() {
            return Ok(false);
        }
        rustix::process::kill_process(pid, Signal::KILL)?;
        self.wait_for_end()
    }

    fn wait_for_end(&self) -> io::Result<bool> {
        let mut waited = Duration::ZERO;
        while self.lives() {
            if waited >= KILL_TIMEOUT {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the process does not end"));
            }
            std::thread::sleep(POLL_INTERVAL);
            waited += POLL_INTERVAL;
        }
        Ok(true)
    }
}

fn started_ticks(pid: i32) -> Option<u64> {
    state(pid).map(|(_, ticks)| ticks)
}

/// State letter and start time, fields 3 and 22 of /proc/PID/stat.
fn state(pid: i32) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let letter = fields.next()?.chars().next()?;
    Some((letter, fields.nth(18)?.parse().ok()?))
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// The sandbox of a run: what a reaper has to end where no supervisor does it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SandboxRecord {
    /// The init first: with it everything inside ends.
    pub processes: Vec<Identity>,
    /// Set where there is no PID namespace: the leader of the workload's process group.
    pub group: Option<Identity>,
    pub cgroups: Vec<PathBuf>,
}

pub(crate) const SANDBOX_FILE: &str = "sandbox.json";
pub(crate) const SUPERVISOR_FILE: &str = "supervisor.json";

/// `None` when there is no such file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Durable on return, and whole at every moment.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let staged = path.with_extension("tmp");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    match path.parent() {
        Some(directory) => fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reused_process_id_is_somebody_else() {
        let own = Identity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.lives());
        let earlier = Identity { started_ticks: own.started_ticks - 1, ..own.clone() };
        assert!(!earlier.lives());
        assert!(!earlier.kill().unwrap());
        let other_boot = Identity { boot_id: "x".to_owned(), ..own };
        assert!(!other_boot.lives());
    }

    #[test]
    fn killed_process_is_waited_for() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let identity = Identity::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(identity.kill().unwrap());
        assert!(!identity.lives());
        child.wait().unwrap();
        assert!(!identity.kill().unwrap());
    }

    #[test]
    fn record_is_read_as_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SANDBOX_FILE);
        assert!(read::<SandboxRecord>(&path).unwrap().is_none());
        let record =
            SandboxRecord { cgroups: vec!["/sys/fs/cgroup/x".into()], ..SandboxRecord::default() };
        write(&path, &record).unwrap();
        assert_eq!(read::<SandboxRecord>(&path).unwrap().unwrap().cgroups, record.cgroups);
    }
}
