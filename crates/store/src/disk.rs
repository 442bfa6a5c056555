//! What the backends on disk share: a bounded number of blocking threads, and how a full disk
//! is told from other failures.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// A bounded share of the runtime's blocking threads. Waiting for a turn costs no thread, and
/// the threads end when idle.
pub(crate) struct Workers {
    permits: Arc<Semaphore>,
}

impl Workers {
    pub fn new(concurrent_max: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(concurrent_max)) }
    }

    /// Runs `work` where it may block. Once started it runs to its end, even if the caller has
    /// gone; fails only when the runtime is shutting down.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let permit = self.permits.clone().acquire_owned().await.map_err(io::Error::other)?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await
        .map_err(io::Error::other)
    }
}

/// Whether the write failed for want of space; a quota counts, as only the wording differs.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes `dir` and these directories in it where any is missing, their names durable.
pub(crate) fn ensure_dirs(dir: &Path, names: &[&str]) -> io::Result<()> {
    if names.iter().all(|name| dir.join(name).is_dir()) {
        return Ok(());
    }
    for name in names {
        fs::create_dir_all(dir.join(name))?;
    }
    File::open(dir)?.sync_all()?;
    sync_parent(dir)
}

/// Makes the name of a new or renamed file or directory durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
