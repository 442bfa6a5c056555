//! Confines a process by Landlock, where there are no namespaces: for our own code alone.
//!
//! Files are bounded to what the run was given and to the system, read-only; ports to the run's
//! own. Landlock hides nothing and bounds no resources, so it is no place for other people's code.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use serde::{Deserialize, Serialize};

/// The newest version whose rules are used here; an older kernel enforces what it knows.
const NEWEST: ABI = ABI::V6;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Rules {
    pub read: Vec<PathBuf>,
    pub write: Vec<PathBuf>,
    pub listen_ports: Vec<u16>,
    pub connect_ports: Vec<u16>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("Landlock rule refused")]
    Ruleset(#[from] landlock::RulesetError),
    #[error("cannot open `{path}` for a rule")]
    Path {
        path: PathBuf,
        #[source]
        source: landlock::PathFdError,
    },
    #[error("the kernel has no Landlock")]
    Absent,
}

/// Readable by everybody anyway, and needed by programs; single files of /proc, so that other
/// processes stay out of sight.
const SYSTEM_READ: [&str; 22] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/localtime",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
];

const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

impl Rules {
    /// Confines the calling thread and all that it starts, for good.
    pub(crate) fn apply(&self) -> Result<(), Error> {
        let all = AccessFs::from_all(NEWEST);
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)?
            .handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?
            .scope(Scope::AbstractUnixSocket | Scope::Signal)?
            .create()?;
        let read = AccessFs::from_read(NEWEST);
        for path in SYSTEM_READ.iter().map(Path::new).chain(self.read.iter().map(PathBuf::as_path))
        {
            ruleset = allow(ruleset, path, read)?;
        }
        for path in DEVICES.iter().map(Path::new) {
            ruleset = allow(ruleset, path, AccessFs::ReadFile | AccessFs::WriteFile)?;
        }
        for path in &self.write {
            ruleset = allow(
                ruleset,
                path,
                all & !AccessFs::MakeChar & !AccessFs::MakeBlock & !AccessFs::IoctlDev,
            )?;
        }
        for port in &self.listen_ports {
            ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
        }
        for port in &self.connect_ports {
            ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        match ruleset.restrict_self()?.ruleset {
            RulesetStatus::NotEnforced => Err(Error::Absent),
            RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        }
    }
}

/// What does not exist needs no rule.
fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, Error> {
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(ruleset) };
    let access = if metadata.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    let opened =
        PathFd::new(path).map_err(|source| Error::Path { path: path.to_owned(), source })?;
    Ok(ruleset.add_rule(PathBeneath::new(opened, access))?)
}
