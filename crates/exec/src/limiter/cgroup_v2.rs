//! Limits by cgroup v2, where a part of the tree is delegated to this process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files;
use crate::sandbox::Limits;

/// Controllers may be enabled for the children of a group that has no processes itself, and so the
/// place of a run is rarely below the server's own group but beside it.
const LEVELS_UP_MAX: usize = 3;

const CONTROLLERS: [&str; 2] = ["memory", "pids"];

/// Where the groups of runs may be, the nearest first.
fn parents() -> io::Result<Vec<PathBuf>> {
    let (hierarchies, cgroup) = files::own_hierarchies()?;
    let Some(hierarchy) = hierarchies.iter().find(|hierarchy| hierarchy.is_v2()) else {
        return Ok(Vec::new());
    };
    let own = hierarchy.own_group(&cgroup).unwrap_or_default();
    let parents = own.ancestors().take(LEVELS_UP_MAX + 1);
    Ok(parents.filter(|parent| parent.starts_with(&hierarchy.mount)).map(Path::to_owned).collect())
}

/// Where a group of this name would be.
pub(super) fn places(name: &str) -> Vec<PathBuf> {
    parents().unwrap_or_default().into_iter().map(|parent| parent.join(name)).collect()
}

#[derive(Debug)]
pub(crate) struct CgroupV2 {
    directory: PathBuf,
}

impl CgroupV2 {
    pub(super) fn make(name: &str, limits: &Limits) -> io::Result<Self> {
        let mut last = io::Error::other("not mounted");
        for parent in parents()? {
            match Self::make_below(&parent, name, limits) {
                Ok(group) => return Ok(group),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn make_below(parent: &Path, name: &str, limits: &Limits) -> io::Result<Self> {
        enable_controllers(parent)?;
        // The kernel lets a process move only for who may write to the nearest group above both its
        // places, and that is this one.
        files::writable(parent, "cgroup.procs")?;
        let group = Self { directory: parent.join(name) };
        files::make(&group.directory)?;
        group.fill(limits).inspect_err(|_| {
            let _ = files::remove(&group.directory);
        })?;
        Ok(group)
    }

    fn fill(&self, limits: &Limits) -> io::Result<()> {
        files::set(&self.directory, "memory.max", limits.memory_bytes)?;
        // Absent where swap is not accounted.
        if self.directory.join("memory.swap.max").exists() {
            files::set(&self.directory, "memory.swap.max", 0)?;
        }
        if self.directory.join("memory.oom.group").exists() {
            files::set(&self.directory, "memory.oom.group", 1)?;
        }
        files::set(&self.directory, "pids.max", limits.pids)?;
        // Absent where the controller is not delegated: then CPU affinity alone limits.
        if self.directory.join("cpu.max").exists() {
            let quota = format!("{} {}", files::cpu_quota_us(limits), files::CPU_PERIOD_US);
            files::set(&self.directory, "cpu.max", quota)?;
        }
        Ok(())
    }

    pub(super) fn attach(&self, pid: i32) -> io::Result<()> {
        files::set(&self.directory, "cgroup.procs", pid)
    }

    pub(super) fn set_frozen(&self, frozen: bool) -> io::Result<()> {
        files::set(&self.directory, "cgroup.freeze", u8::from(frozen))
    }

    pub(super) fn memory_bytes(&self) -> Option<(u64, u64)> {
        let now = files::number(&self.directory, "memory.current")?;
        // The peak is known from Linux 5.19 on.
        Some((now, files::number(&self.directory, "memory.peak").unwrap_or(now)))
    }

    pub(super) fn oom_kills(&self) -> u64 {
        files::keyed_number(&self.directory, "memory.events", "oom_kill ").unwrap_or(0)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

fn enable_controllers(parent: &Path) -> io::Result<()> {
    let enabled = fs::read_to_string(parent.join("cgroup.subtree_control"))?;
    for controller in CONTROLLERS {
        if !enabled.split_whitespace().any(|name| name == controller) {
            files::set(parent, "cgroup.subtree_control", format!("+{controller}"))?;
        }
    }
    if !enabled.split_whitespace().any(|name| name == "cpu") {
        let _ = files::set(parent, "cgroup.subtree_control", "+cpu");
    }
    Ok(())
}
