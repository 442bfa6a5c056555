//! The isolation ladder: namespaces, else Landlock, else a plain process; found out by really
//! trying.
//!
//! A rung is chosen once, by the server, and named; a sandbox that then cannot be built on it is an
//! error, never a reason to take a lower one.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::executor::Refusal;
use crate::sandbox::{
    Program, Sandbox, SandboxError, SandboxSpec, Trust, WORKLOAD_HOST_ID, probe_arguments,
};

/// How users inside of a sandbox are users of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdMapping {
    /// The workload is the user of the server: all that an ordinary user can do.
    Own,
    /// The server is root: set-up as root, the workload as [`WORKLOAD_HOST_ID`].
    Pair,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Isolation {
    Namespaces { ids: IdMapping },
    Landlock,
    Plain,
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces { ids: IdMapping::Own } => "namespaces",
            Self::Namespaces { ids: IdMapping::Pair } => {
                "namespaces, workloads under a user of their own"
            }
            Self::Landlock => "Landlock, for Kennel's own code alone",
            Self::Plain => "none, for Kennel's own code alone",
        })
    }
}

/// What was found, and why nothing stronger.
#[derive(Debug, Clone)]
pub struct Probe {
    pub isolation: Isolation,
    pub reason: String,
    /// What to do for a stronger one; empty when this is the strongest.
    pub remedy: String,
}

/// A sandbox that does nothing takes some milliseconds; this is for a machine under load.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

impl Isolation {
    /// Goes down the ladder until a sandbox has really run on a rung.
    pub async fn probe() -> Probe {
        let namespaces = match try_namespaces().await {
            Ok(isolation) => {
                return Probe {
                    isolation,
                    reason: "a sandbox ran in user, mount, PID, IPC, network and UTS namespaces"
                        .to_owned(),
                    remedy: String::new(),
                };
            }
            Err(reason) => reason,
        };
        let remedy = namespaces_remedy();
        match try_rung(Isolation::Landlock).await {
            Ok(()) => Probe {
                isolation: Isolation::Landlock,
                reason: format!("namespaces are denied ({namespaces}); Landlock works"),
                remedy,
            },
            Err(landlock) => Probe {
                isolation: Isolation::Plain,
                reason: format!(
                    "namespaces are denied ({namespaces}); Landlock does not work ({landlock})"
                ),
                remedy,
            },
        }
    }
}

/// Says why code of this trust may not run, or nothing.
pub(crate) fn refusal(
    isolation: Isolation,
    trust: Trust,
    allow_weaker_isolation: bool,
    reason: &str,
    remedy: &str,
) -> Option<Refusal> {
    match (isolation, trust) {
        (Isolation::Namespaces { .. }, _) | (_, Trust::OwnCode) => None,
        (Isolation::Landlock | Isolation::Plain, Trust::Foreign) if allow_weaker_isolation => None,
        (Isolation::Landlock | Isolation::Plain, Trust::Foreign) => Some(Refusal {
            reason: format!("code other than Kennel's own runs in namespaces only, and {reason}"),
            remedy: format!(
                "{remedy}; or set allow_weaker_isolation, which runs it without that protection"
            ),
        }),
    }
}

async fn try_namespaces() -> Result<Isolation, String> {
    let ids = if rustix::process::geteuid().is_root() && maps_workload_id() {
        IdMapping::Pair
    } else {
        IdMapping::Own
    };
    let isolation = Isolation::Namespaces { ids };
    try_rung(isolation).await.map(|()| isolation)
}

/// False for a root that is itself inside of a small user namespace, and so no root of the host.
fn maps_workload_id() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
        let (Some(inside), Some(_), Some(count)) = (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        (inside..inside.saturating_add(count)).contains(&u64::from(WORKLOAD_HOST_ID))
    })
}

async fn try_rung(isolation: Isolation) -> Result<(), String> {
    let run_dir = scratch_dir().map_err(|error| format!("no scratch directory: {error}"))?;
    let mut spec = SandboxSpec::new(run_dir.clone(), isolation, Program::Own);
    spec.args = probe_arguments();
    let result = tokio::time::timeout(PROBE_TIMEOUT, run_to_end(spec)).await;
    let _ = fs::remove_dir_all(&run_dir);
    result.unwrap_or_else(|_| Err("a trial sandbox did not end".to_owned()))
}

async fn run_to_end(spec: SandboxSpec) -> Result<(), String> {
    let mut child =
        Sandbox::start(spec).await.map_err(
            |error: SandboxError| match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
        )?;
    let exit = child.wait().await;
    if exit.status.success() {
        Ok(())
    } else {
        Err(format!("a trial sandbox ended with {}", exit.status))
    }
}

fn scratch_dir() -> std::io::Result<PathBuf> {
    let mut salt = [0; 8];
    getrandom::fill(&mut salt).map_err(std::io::Error::other)?;
    let path = std::env::temp_dir().join(format!("kennel-probe-{}", hex::encode(salt)));
    std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).create(&path)?;
    Ok(path)
}

/// The switches that distributions close user namespaces with, and how to open them.
fn namespaces_remedy() -> String {
    let reads =
        |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let switches = [
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` lifts AppArmor's restriction of user namespaces",
        ),
        (
            "/proc/sys/kernel/unprivileged_userns_clone",
            "0",
            "`sudo sysctl kernel.unprivileged_userns_clone=1` allows user namespaces",
        ),
        (
            "/proc/sys/user/max_user_namespaces",
            "0",
            "`sudo sysctl user.max_user_namespaces=15000` allows user namespaces",
        ),
    ];
    let found = switches.into_iter().find(|(path, value, _)| reads(path, value));
    found.map_or(
        "allow user namespaces to this user; inside a container, start it with --security-opt seccomp=unconfined \
         --security-opt systempaths=unconfined --cap-add SYS_ADMIN"
            .to_owned(),
        |(_, _, remedy)| remedy.to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_code_is_refused_below_namespaces_unless_allowed_by_name() {
        let namespaces = Isolation::Namespaces { ids: IdMapping::Own };
        assert!(refusal(namespaces, Trust::Foreign, false, "", "").is_none());
        for isolation in [Isolation::Landlock, Isolation::Plain] {
            assert!(refusal(isolation, Trust::OwnCode, false, "", "").is_none());
            assert!(refusal(isolation, Trust::Foreign, true, "", "").is_none());
            let refused =
                refusal(isolation, Trust::Foreign, false, "they are denied", "do this").unwrap();
            assert!(refused.reason.contains("they are denied"));
            assert!(
                refused.remedy.starts_with("do this")
                    && refused.remedy.contains("allow_weaker_isolation")
            );
        }
    }
}
