//! The control files of cgroups, and where in the hierarchies this process is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::limits::{KILL_TIMEOUT, POLL_INTERVAL};
use crate::sandbox::Limits;

/// The kernel's own default.
pub(super) const CPU_PERIOD_US: u64 = 100_000;

/// Processor time of all CPUs together in one period.
pub(super) fn cpu_quota_us(limits: &Limits) -> u64 {
    u64::from(limits.cpus).saturating_mul(CPU_PERIOD_US)
}

/// One mounted hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub mount: PathBuf,
    /// The group that is seen at `mount`.
    root: PathBuf,
    /// `None` for version 2.
    controllers: Option<Vec<String>>,
}

/// Reads the hierarchies out of the text of /proc/self/mountinfo.
pub(super) fn hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    mountinfo.lines().filter_map(hierarchy).collect()
}

fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (mount, system) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let (root, mount) = (fields.next()?, fields.next()?);
    let mut system = system.split(' ');
    let controllers = match system.next()? {
        "cgroup2" => None,
        "cgroup" => Some(system.nth(1)?.split(',').map(str::to_owned).collect()),
        _ => return None,
    };
    Some(Hierarchy { mount: mount.into(), root: root.into(), controllers })
}

impl Hierarchy {
    pub(super) fn is_v2(&self) -> bool {
        self.controllers.is_none()
    }

    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.as_ref().is_some_and(|names| names.iter().any(|name| name == controller))
    }

    /// The directory of this process's group, by the text of /proc/self/cgroup.
    pub(super) fn own_group(&self, cgroup: &str) -> Option<PathBuf> {
        let path = cgroup.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (names, path) = (fields.next()?, fields.next()?);
            let ours = match &self.controllers {
                None => names.is_empty(),
                Some(controllers) => {
                    names.split(',').any(|name| controllers.iter().any(|known| known == name))
                }
            };
            ours.then(|| PathBuf::from(path))
        })?;
        // In a container the mount shows the container's group as its root.
        let below = path.strip_prefix(&self.root).or_else(|_| path.strip_prefix("/")).ok()?;
        Some(if below.as_os_str().is_empty() { self.mount.clone() } else { self.mount.join(below) })
    }
}

pub(super) fn own_hierarchies() -> io::Result<(Vec<Hierarchy>, String)> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    Ok((hierarchies(&mounts), fs::read_to_string("/proc/self/cgroup")?))
}

pub(super) fn set(directory: &Path, file: &str, value: impl ToString) -> io::Result<()> {
    let mut opened = writable(directory, file)?;
    let written = io::Write::write_all(&mut opened, value.to_string().as_bytes());
    written.map_err(|error| name(&directory.join(file), &error))
}

/// Opened without creating: on a file system that is no cgroup this must fail.
pub(super) fn writable(directory: &Path, file: &str) -> io::Result<fs::File> {
    let path = directory.join(file);
    fs::OpenOptions::new().write(true).open(&path).map_err(|error| name(&path, &error))
}

fn name(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

pub(super) fn number(directory: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(directory.join(file)).ok()?.trim().parse().ok()
}

/// A number out of a file of `name value` lines.
pub(super) fn keyed_number(directory: &Path, file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(directory.join(file)).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
}

pub(super) fn make(directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        // Left by an earlier run of the same name, which has ended.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => end_and_remove(directory)
            .and_then(|()| fs::create_dir(directory))
            .map_err(|error| name(directory, &error)),
        result => result.map_err(|error| name(directory, &error)),
    }
}

pub(super) fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Ends every process of the group, then removes it.
pub(super) fn end_and_remove(directory: &Path) -> io::Result<()> {
    let mut waited = std::time::Duration::ZERO;
    loop {
        match remove(directory) {
            Ok(()) => return Ok(()),
            Err(error) if waited >= KILL_TIMEOUT => return Err(error),
            Err(_) => {}
        }
        // A frozen process does not take a signal.
        let _ = set(directory, "freezer.state", "THAWED");
        let _ = set(directory, "cgroup.freeze", "0");
        let members = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        for pid in members.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(POLL_INTERVAL);
        waited += POLL_INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 /docker/ab /sys/fs/cgroup/cpu,cpuacct rw shared:4 - cgroup cgroup rw,cpu,cpuacct
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
";
    const GROUPS: &str = "5:cpu,cpuacct:/docker/ab/x\n4:memory:/a/b\n0::/user.slice\n";

    #[test]
    fn own_group_is_found_in_each_hierarchy() {
        let found = hierarchies(MOUNTS);
        assert_eq!(found.len(), 3);
        assert!(found[0].has("memory") && !found[0].is_v2());
        assert_eq!(found[0].own_group(GROUPS).unwrap(), Path::new("/sys/fs/cgroup/memory/a/b"));
        assert_eq!(found[1].own_group(GROUPS).unwrap(), Path::new("/sys/fs/cgroup/cpu,cpuacct/x"));
        assert!(found[2].is_v2());
        assert_eq!(
            found[2].own_group(GROUPS).unwrap(),
            Path::new("/sys/fs/cgroup/unified/user.slice")
        );
    }

    #[test]
    fn missing_control_file_is_an_error_and_not_made() {
        let dir = tempfile::tempdir().unwrap();
        assert!(set(dir.path(), "memory.max", 1).is_err());
        assert!(!dir.path().join("memory.max").exists());
    }

    #[test]
    fn keyed_numbers_are_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("memory.events"), "low 0\noom 3\noom_kill 2\n").unwrap();
        assert_eq!(keyed_number(dir.path(), "memory.events", "oom_kill "), Some(2));
        assert_eq!(keyed_number(dir.path(), "memory.events", "oom "), Some(3));
    }
}
