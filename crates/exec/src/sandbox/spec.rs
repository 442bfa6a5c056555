//! What a sandbox is to be: the whole description, written by the caller, checked before anything
//! is started.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::isolation::Isolation;

/// The user and group a workload sees itself as.
pub const INSIDE_ID: u32 = 1000;

/// What [`INSIDE_ID`] is on the host when the server is root. No package or service of a usual
/// distribution uses it: it lies between Debian's static ids and systemd's container ranges.
pub const WORKLOAD_HOST_ID: u32 = 64_944;

/// Where this very binary is found inside.
pub const OWN_PROGRAM: &str = "/opt/kennel/bin/kennel";

/// Whose code it is. Other people's code runs in namespaces alone, unless weaker isolation is
/// allowed by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    OwnCode,
    Foreign,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Program {
    /// This very binary.
    Own,
    /// An absolute path as the workload sees it.
    Path(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    ReadOnly,
    Writable,
}

/// A directory or file of the host that appears inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    pub host: PathBuf,
    pub inside: PathBuf,
    pub access: Access,
    /// The variable that tells the workload where it is: `inside`, or `host` where there are no
    /// namespaces.
    pub path_env: Option<String>,
}

/// Connections to a Unix socket of the host that arrive at a port inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbound {
    /// Created by the sandbox with mode 0600.
    pub host_socket: PathBuf,
    pub port: u16,
    /// Variables told the port: name and a template with `{port}`.
    pub port_env: Vec<(String, String)>,
}

/// Connections to a port inside that arrive at a Unix socket of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbound {
    /// Has to listen already, and to stay the same file for the sandbox's life.
    pub host_socket: PathBuf,
    pub port: u16,
    pub port_env: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub cpus: u32,
    pub memory_bytes: u64,
    pub pids: u32,
    /// Open files of one process.
    pub files: u64,
    pub tmp_bytes: u64,
    pub shm_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpus: 1,
            memory_bytes: 2 << 30,
            // What a container runtime commonly grants; a training process has some hundred threads.
            pids: 4096,
            // The usual hard limit of a login session.
            files: 65_536,
            tmp_bytes: 1 << 30,
            shm_bytes: 1 << 30,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    pub address: IpAddr,
    pub names: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// The sandbox's record lies here, so that it can be reaped without its supervisor.
    pub run_dir: PathBuf,
    pub trust: Trust,
    pub isolation: Isolation,
    pub allow_weaker_isolation: bool,
    pub program: Program,
    pub args: Vec<String>,
    /// Complete; nothing is inherited.
    pub env: BTreeMap<String, String>,
    pub cwd: PathBuf,
    pub hostname: String,
    /// Beside `localhost`, which is always there.
    pub hosts: Vec<HostEntry>,
    pub binds: Vec<Bind>,
    pub inbound: Vec<Inbound>,
    pub outbound: Vec<Outbound>,
    pub limits: Limits,
}

impl SandboxSpec {
    pub fn new(run_dir: PathBuf, isolation: Isolation, program: Program) -> Self {
        Self {
            run_dir,
            trust: Trust::OwnCode,
            isolation,
            allow_weaker_isolation: false,
            program,
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: PathBuf::from("/"),
            hostname: "localhost".to_owned(),
            hosts: Vec::new(),
            binds: Vec::new(),
            inbound: Vec::new(),
            outbound: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// Refuses what could not be built, or what would reach outside of what the caller means.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.run_dir.is_absolute() {
            return Err(format!("run directory `{}` is not absolute", self.run_dir.display()));
        }
        if !is_plain_absolute(&self.cwd) {
            return Err(format!(
                "working directory `{}` is not a plain absolute path",
                self.cwd.display()
            ));
        }
        if let Program::Path(path) = &self.program
            && !is_plain_absolute(Path::new(path))
        {
            return Err(format!("program `{path}` is not a plain absolute path"));
        }
        for bind in &self.binds {
            check_bind(bind)?;
        }
        let names = self.hosts.iter().flat_map(|entry| &entry.names).chain([&self.hostname]);
        for name in names {
            if !is_host_name(name) {
                return Err(format!("host name `{name}` is not valid"));
            }
        }
        let texts = self.args.iter().chain(self.env.keys()).chain(self.env.values());
        if texts.into_iter().any(|text| text.contains('\0')) {
            return Err("an argument or a variable holds a NUL byte".to_owned());
        }
        if self.env.keys().any(|key| key.is_empty() || key.contains('=')) {
            return Err("a variable's name is empty or holds `=`".to_owned());
        }
        if self.limits.cpus == 0 || self.limits.memory_bytes == 0 || self.limits.pids == 0 {
            return Err("a limit is zero".to_owned());
        }
        Ok(())
    }
}

/// These belong to the sandbox itself; a bind over them would undo what it builds.
const RESERVED: [&str; 12] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc",
    "/dev",
    "/proc",
    "/sys",
    "/run/kennel",
    "/opt/kennel/bin",
];

fn check_bind(bind: &Bind) -> Result<(), String> {
    let inside = &bind.inside;
    if !is_plain_absolute(inside) || inside == Path::new("/") {
        return Err(format!("bind target `{}` is not a plain absolute path", inside.display()));
    }
    if !bind.host.is_absolute() {
        return Err(format!("bind source `{}` is not absolute", bind.host.display()));
    }
    let overlaps =
        |reserved: &&&str| inside.starts_with(reserved) || Path::new(reserved).starts_with(inside);
    match RESERVED.iter().find(overlaps) {
        Some(reserved) => {
            Err(format!("bind target `{}` lies under or over `{reserved}`", inside.display()))
        }
        None => Ok(()),
    }
}

/// Absolute, without `.` or `..`: what the path says is where it leads.
fn is_plain_absolute(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

fn is_host_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// Where a path of the sandbox lies on the host when there are no mounts: under the innermost bind
/// that holds it, else where it says.
pub(crate) fn host_path(binds: &[Bind], inside: &Path) -> PathBuf {
    let holder = binds
        .iter()
        .filter(|bind| inside.starts_with(&bind.inside))
        .max_by_key(|bind| bind.inside.components().count());
    match holder.and_then(|bind| inside.strip_prefix(&bind.inside).ok().map(|rest| (bind, rest))) {
        Some((bind, rest)) if rest.as_os_str().is_empty() => bind.host.clone(),
        Some((bind, rest)) => bind.host.join(rest),
        None => inside.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(host: &str, inside: &str) -> Bind {
        Bind { host: host.into(), inside: inside.into(), access: Access::ReadOnly, path_env: None }
    }

    #[test]
    fn binds_that_would_undo_the_sandbox_are_refused() {
        let over_ours = ["/opt", "/opt/kennel", "/opt/kennel/bin/kennel", "/run"];
        let others = ["/", "/usr/bin", "/etc/hosts", "/proc", "/opt/../etc", "opt/ml", "/dev/shm"];
        for inside in over_ours.into_iter().chain(others) {
            assert!(check_bind(&bind("/srv", inside)).is_err(), "{inside}");
        }
        assert!(check_bind(&bind("srv", "/opt/ml")).is_err());
        assert!(check_bind(&bind("/srv", "/opt/ml")).is_ok());
        assert!(check_bind(&bind("/srv", "/etcetera")).is_ok());
        assert!(check_bind(&bind("/srv", "/opt/kennel/lib/libonnxruntime.so")).is_ok());
    }

    #[test]
    fn innermost_bind_names_the_host_path() {
        let binds = [bind("/a/ml", "/opt/ml"), bind("/b/input", "/opt/ml/input")];
        assert_eq!(host_path(&binds, Path::new("/opt/ml")), Path::new("/a/ml"));
        assert_eq!(host_path(&binds, Path::new("/opt/ml/model/x")), Path::new("/a/ml/model/x"));
        assert_eq!(host_path(&binds, Path::new("/opt/ml/input/data")), Path::new("/b/input/data"));
        assert_eq!(host_path(&binds, Path::new("/tmp")), Path::new("/tmp"));
    }

    #[test]
    fn host_names_cannot_smuggle_lines_into_the_hosts_file() {
        let mut spec = SandboxSpec::new("/run/x".into(), Isolation::Plain, Program::Own);
        spec.hostname = "algo-1".to_owned();
        assert!(spec.check().is_ok());
        spec.hostname = "a\n10.0.0.1 b".to_owned();
        assert!(spec.check().is_err());
    }
}
