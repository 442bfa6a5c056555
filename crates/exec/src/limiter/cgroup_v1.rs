//! Limits by the memory, pids and freezer controllers of cgroup v1.

use std::io;
use std::path::PathBuf;

use super::files::{self, Hierarchy};
use crate::sandbox::Limits;

const CONTROLLERS: [&str; 4] = ["memory", "pids", "freezer", "cpu"];

fn place(hierarchies: &[Hierarchy], cgroup: &str, controller: &str, name: &str) -> Option<PathBuf> {
    let hierarchy = hierarchies.iter().find(|hierarchy| hierarchy.has(controller))?;
    Some(hierarchy.own_group(cgroup)?.join(name))
}

/// Where a group of this name would be.
pub(super) fn places(name: &str) -> Vec<PathBuf> {
    let Ok((hierarchies, cgroup)) = files::own_hierarchies() else { return Vec::new() };
    CONTROLLERS
        .iter()
        .filter_map(|controller| place(&hierarchies, &cgroup, controller, name))
        .collect()
}

#[derive(Debug)]
pub(crate) struct CgroupV1 {
    memory: PathBuf,
    pids: PathBuf,
    /// Absent: the sandbox is frozen by signals.
    freezer: Option<PathBuf>,
    /// Absent: CPU affinity alone limits, which a workload can widen.
    cpu: Option<PathBuf>,
}

impl CgroupV1 {
    pub(super) fn make(name: &str, limits: &Limits) -> io::Result<Self> {
        let (hierarchies, cgroup) = files::own_hierarchies()?;
        let place = |controller: &str| {
            let missing = || io::Error::other(format!("no {controller} controller is mounted"));
            place(&hierarchies, &cgroup, controller, name).ok_or_else(missing)
        };
        let memory = place("memory")?;
        let pids = place("pids")?;
        let optional =
            |controller| place(controller).ok().filter(|directory| files::make(directory).is_ok());
        let group = Self { memory, pids, freezer: optional("freezer"), cpu: optional("cpu") };
        group.fill(limits).inspect_err(|_| group.remove())?;
        Ok(group)
    }

    fn fill(&self, limits: &Limits) -> io::Result<()> {
        files::make(&self.memory)?;
        files::set(&self.memory, "memory.limit_in_bytes", limits.memory_bytes)?;
        // Else the limit would only move the excess to swap; absent where swap is not accounted.
        if self.memory.join("memory.memsw.limit_in_bytes").exists() {
            files::set(&self.memory, "memory.memsw.limit_in_bytes", limits.memory_bytes)?;
        }
        files::make(&self.pids)?;
        files::set(&self.pids, "pids.max", limits.pids)?;
        match &self.cpu {
            // A kernel without bandwidth control has the group but not the file.
            Some(cpu) if cpu.join("cpu.cfs_quota_us").exists() => {
                files::set(cpu, "cpu.cfs_period_us", files::CPU_PERIOD_US)?;
                files::set(cpu, "cpu.cfs_quota_us", files::cpu_quota_us(limits))
            }
            _ => Ok(()),
        }
    }

    fn remove(&self) {
        for directory in self.directories() {
            let _ = files::remove(&directory);
        }
    }

    pub(super) fn attach(&self, pid: i32) -> io::Result<()> {
        self.directories()
            .iter()
            .try_for_each(|directory| files::set(directory, "cgroup.procs", pid))
    }

    pub(super) fn set_frozen(&self, frozen: bool) -> io::Result<bool> {
        let Some(directory) = &self.freezer else { return Ok(false) };
        files::set(directory, "freezer.state", if frozen { "FROZEN" } else { "THAWED" })?;
        Ok(true)
    }

    pub(super) fn memory_bytes(&self) -> Option<(u64, u64)> {
        let now = files::number(&self.memory, "memory.usage_in_bytes")?;
        Some((now, files::number(&self.memory, "memory.max_usage_in_bytes")?))
    }

    pub(super) fn oom_kills(&self) -> u64 {
        files::keyed_number(&self.memory, "memory.oom_control", "oom_kill ").unwrap_or(0)
    }

    pub(super) fn directories(&self) -> Vec<PathBuf> {
        let always = [&self.memory, &self.pids].into_iter();
        always.chain(&self.freezer).chain(&self.cpu).cloned().collect()
    }
}
