//! Why a run fails, in the words FailureReason shows.

use crate::limits::FAILURE_CHARS_MAX;

/// Ends a run as Failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// What the user can put right.
    #[error("ClientError: {0}")]
    Client(String),
    /// What the workload did.
    #[error("AlgorithmError: {0}")]
    Algorithm(String),
    /// What this host or the server did.
    #[error("InternalServerError: {0}")]
    Internal(String),
}

impl Failure {
    pub fn reason(&self) -> String {
        self.to_string().chars().take(FAILURE_CHARS_MAX).collect()
    }

    /// A failure of this host's disk, with what was tried.
    pub fn io(doing: &str) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.to_owned();
        move |error| Self::Internal(format!("{doing}: {error}"))
    }

    /// A failed call of the API, with what was tried. Refusals are the user's to put right.
    pub fn call(doing: &str, error: &kennel_client::Error) -> Self {
        let text = format!("{doing}: {}", error.chain());
        match error.status() {
            Some(status) if (400..500).contains(&status) && status != 429 => Self::Client(text),
            _ => Self::Internal(text),
        }
    }
}

/// The host's own half of a path error, for blocking work that panicked or was cancelled.
pub(crate) async fn blocking<T: Send + 'static>(
    doing: &str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked))).map_err(Failure::io(doing))
}
