//! The seam that the server starts runs through.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::isolation::Isolation;
use crate::limiter::LimiterKind;
use crate::sandbox::Trust;
use crate::token::Token;

/// Starts one supervisor a run, finds it again, and ends what is left of a run.
#[async_trait]
pub trait Executor: Send + Sync {
    /// What is in force on this machine. Found out when the executor was made; does not change.
    fn capability(&self) -> Capability;

    /// Whether such a run can be run here at all. Pure: ask it when the run is created.
    fn admit(&self, needs: &Needs) -> Result<(), Refusal>;

    /// Starts the supervisor of a run. Returns when it holds the token and its record is durable.
    /// Idempotent by run directory: one that lives is returned, and none is started beside it.
    async fn start(&self, launch: Launch) -> Result<Supervisor, LaunchError>;

    /// What is known of the supervisor of a run directory. Absent directory: [`Presence::Never`].
    async fn find(&self, run_dir: &Path) -> Result<Presence, LaunchError>;

    /// Returns when no supervisor of this run directory lives, at once when there was none.
    async fn gone(&self, run_dir: &Path);

    /// Ends the supervisor if it lives, its sandbox and its limits, and returns when they are gone.
    /// Idempotent; nothing there is nothing to do.
    async fn reap(&self, run_dir: &Path) -> Result<Reaped, LaunchError>;
}

/// One supervisor to start.
#[derive(Debug, Clone)]
pub struct Launch {
    pub run_id: String,
    /// Has to exist, with mode 0700.
    pub run_dir: PathBuf,
    pub token: Token,
    /// After the run directory on the command line, which everybody can read.
    pub args: Vec<OsString>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervisor {
    pub run_id: String,
    pub pid: u32,
    pub started_ticks: u64,
    pub boot_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    Alive(Supervisor),
    /// It was started and lives no more.
    Ended(Supervisor),
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reaped {
    pub supervisor_killed: bool,
    pub sandbox_killed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    pub trust: Trust,
    pub allow_weaker_isolation: bool,
}

/// Why something cannot run here, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    pub reason: String,
    pub remedy: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}

/// What this machine isolates and limits with, and how much it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    pub isolation: Isolation,
    pub isolation_reason: String,
    /// What to do for stronger isolation; empty when there is none.
    pub isolation_remedy: String,
    pub limiter: LimiterKind,
    pub limiter_reason: String,
    /// That this process may use.
    pub cpus: u32,
    pub memory_bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("cannot {action} in run directory `{run_dir}`")]
    RunDir {
        action: &'static str,
        run_dir: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot start the supervisor of run `{run_id}`")]
    Spawn {
        run_id: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "the supervisor of run `{run_id}` ended before it had taken over; see supervisor.log in its run directory"
    )]
    NotTakenOver { run_id: String },
    #[error("another supervisor works in run directory `{run_dir}`")]
    Occupied { run_dir: PathBuf },
    #[error("cannot find out about this machine")]
    Host(#[source] io::Error),
}
