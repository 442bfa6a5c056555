//! How a sandbox ended, and which step failed when it could not be built.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// How the workload ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    Code(i32),
    Signal(i32),
    /// The sandbox itself failed or was killed; how the workload would have ended is not known.
    Lost(String),
}

impl ExitStatus {
    pub fn success(&self) -> bool {
        matches!(self, Self::Code(0))
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Lost(reason) => write!(f, "lost: {reason}"),
        }
    }
}

/// What the workload and all its children took.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Usage {
    pub memory_bytes: u64,
    pub memory_peak_bytes: u64,
    pub cpu_secs: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    pub status: ExitStatus,
    /// Something was killed because the memory limit was reached.
    pub oom: bool,
    pub usage: Usage,
}

/// A step of a stage that failed, in a form that travels to the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{step}: {cause}")]
pub(crate) struct StageFailure {
    pub step: String,
    pub cause: String,
    pub errno: Option<i32>,
}

/// Names the step that an error belongs to.
pub(crate) trait At<T> {
    fn at(self, step: impl FnOnce() -> String) -> Result<T, StageFailure>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: impl FnOnce() -> String) -> Result<T, StageFailure> {
        self.map_err(|error| {
            let error: io::Error = error.into();
            StageFailure { step: step(), errno: error.raw_os_error(), cause: error.to_string() }
        })
    }
}
