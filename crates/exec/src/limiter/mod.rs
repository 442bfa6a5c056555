//! Bounds the memory and the processes of a workload by the strongest means that this machine
//! grants: cgroup v2 where delegated, else cgroup v1, else rlimits and polling.

mod cgroup_v1;
mod cgroup_v2;
mod files;
pub(crate) mod resident;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sandbox::Limits;
use cgroup_v1::CgroupV1;
use cgroup_v2::CgroupV2;

/// The means in force; its text is for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimiterKind {
    CgroupV2,
    CgroupV1,
    Rlimits,
}

impl fmt::Display for LimiterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CgroupV2 => "cgroup v2",
            Self::CgroupV1 => "cgroup v1",
            Self::Rlimits => "rlimits, CPU affinity and polling of the resident set",
        })
    }
}

/// The limits of one run.
#[derive(Debug)]
pub(crate) enum Limiter {
    V2(CgroupV2),
    V1(CgroupV1),
    Rlimits,
}

/// Groups found without a supervisor are known by this prefix.
const GROUP_PREFIX: &str = "kennel-";

impl Limiter {
    /// Makes the groups of a run, by the first means that works. The second value says why the
    /// stronger means did not.
    pub(crate) fn make(run_dir: &Path, limits: &Limits) -> (Self, String) {
        let name = group_name(run_dir);
        let v2 = match CgroupV2::make(&name, limits) {
            Ok(group) => {
                let reason = format!("delegated at {}", group.directory().display());
                return (Self::V2(group), reason);
            }
            Err(error) => error,
        };
        match CgroupV1::make(&name, limits) {
            Ok(group) => (Self::V1(group), format!("cgroup v2: {v2}")),
            Err(v1) => (Self::Rlimits, format!("cgroup v2: {v2}; cgroup v1: {v1}")),
        }
    }

    pub(crate) fn kind(&self) -> LimiterKind {
        match self {
            Self::V2(_) => LimiterKind::CgroupV2,
            Self::V1(_) => LimiterKind::CgroupV1,
            Self::Rlimits => LimiterKind::Rlimits,
        }
    }

    pub(crate) fn attach(&self, pid: i32) -> io::Result<()> {
        match self {
            Self::V2(group) => group.attach(pid),
            Self::V1(group) => group.attach(pid),
            Self::Rlimits => Ok(()),
        }
    }

    /// False where there is nothing to freeze with: then signals have to do.
    pub(crate) fn set_frozen(&self, frozen: bool) -> io::Result<bool> {
        match self {
            Self::V2(group) => group.set_frozen(frozen).map(|()| true),
            Self::V1(group) => group.set_frozen(frozen),
            Self::Rlimits => Ok(false),
        }
    }

    /// Bytes in use now, and at most so far.
    pub(crate) fn memory_bytes(&self) -> Option<(u64, u64)> {
        match self {
            Self::V2(group) => group.memory_bytes(),
            Self::V1(group) => group.memory_bytes(),
            Self::Rlimits => None,
        }
    }

    pub(crate) fn oom_kills(&self) -> u64 {
        match self {
            Self::V2(group) => group.oom_kills(),
            Self::V1(group) => group.oom_kills(),
            Self::Rlimits => 0,
        }
    }

    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        match self {
            Self::V2(group) => vec![group.directory().to_owned()],
            Self::V1(group) => group.directories(),
            Self::Rlimits => Vec::new(),
        }
    }
}

/// Runs of one machine have different directories, and so different groups; a reaper finds them
/// without a record.
fn group_name(run_dir: &Path) -> String {
    // FNV-1a: the same in every build, unlike the hashes of the standard library.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in run_dir.as_os_str().as_encoded_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{GROUP_PREFIX}{hash:016x}")
}

/// Groups of a run that may have been made before anything was recorded.
pub(crate) fn unrecorded(run_dir: &Path) -> Vec<PathBuf> {
    let name = group_name(run_dir);
    let mut found = cgroup_v1::places(&name);
    found.extend(cgroup_v2::places(&name));
    found.retain(|directory| directory.is_dir());
    found
}

/// What a run would be limited by, found out by making its groups and removing them.
pub(crate) fn probe() -> (LimiterKind, String) {
    let name = format!("probe-{}", std::process::id());
    let (limiter, reason) = Limiter::make(Path::new(&name), &Limits::default());
    for directory in limiter.directories() {
        let _ = files::remove(&directory);
    }
    (limiter.kind(), reason)
}

/// Ends whatever is left in a recorded group and removes it. Only groups that this crate made are
/// touched, whatever a record says.
pub(crate) fn reap(directory: &Path) -> io::Result<()> {
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.starts_with(GROUP_PREFIX) || !directory.starts_with("/sys/fs/cgroup") {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a group of a run"));
    }
    files::end_and_remove(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_groups_are_not_reaped() {
        assert!(reap(Path::new("/sys/fs/cgroup/memory/other")).is_err());
        assert!(reap(Path::new("/tmp/kennel-1")).is_err());
    }

    #[test]
    fn probe_leaves_no_group_behind() {
        let (kind, reason) = probe();
        assert!(!kind.to_string().is_empty());
        assert!(!reason.is_empty());
        let dir = tempfile::tempdir().unwrap();
        let (limiter, _) = Limiter::make(dir.path(), &Limits::default());
        assert_eq!(unrecorded(dir.path()).len(), limiter.directories().len());
        for directory in limiter.directories() {
            assert!(directory.exists());
            reap(&directory).unwrap();
            assert!(!directory.exists());
        }
        assert!(unrecorded(dir.path()).is_empty());
    }
}
