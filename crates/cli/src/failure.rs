//! What a person sees when a verb fails: one sentence, its cause, and the next step where there
//! is one. Each kind has an exit code of its own, for scripts.

use std::process::ExitCode;

/// Why a verb failed; the exit codes are documented in the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The machine said no: a file, a port, a lock.
    Environment,
    /// No server answers.
    Unreachable,
    /// The server answered with an error.
    Refused,
    /// What was asked for ran and ended badly: a failed job, a failed endpoint.
    Failed,
}

impl Kind {
    fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Environment => 3,
            Self::Unreachable => 4,
            Self::Refused => 5,
        }
    }
}

/// An error of the command line.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// A failure with the chain of its causes behind a colon each.
    pub fn caused(kind: Kind, message: &str, cause: &dyn std::error::Error) -> Self {
        let mut text = format!("{message}: {cause}");
        let mut source = cause.source();
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        Self::new(kind, text)
    }

    #[must_use]
    pub fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.exit_code())
    }

    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}
