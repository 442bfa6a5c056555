//! The directory of one run: made before its supervisor starts, removed after everything of the
//! run is gone. Its name is an internal id; nothing a user chose becomes a path here.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::isolation::Isolation;
use crate::removal;

/// The file a supervisor learns its host from.
pub const HOST: &str = "host.json";

/// What a supervisor has to know of the host it was started on, beside what it is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The server's mailbox.
    pub mailbox: PathBuf,
    /// What was found out by really trying.
    pub isolation: Isolation,
    pub allow_weaker_isolation: bool,
}

/// Makes the directory with mode 0700, and its parents. Idempotent.
pub async fn create(run_dir: &Path) -> io::Result<()> {
    let run_dir = run_dir.to_owned();
    blocking(move || DirBuilder::new().recursive(true).mode(0o700).create(run_dir)).await
}

/// Writes a file of the directory with mode 0600; it is there as a whole or not at all.
pub async fn write(run_dir: &Path, name: &'static str, bytes: &[u8]) -> io::Result<()> {
    let run_dir = run_dir.to_owned();
    let bytes = bytes.to_owned();
    blocking(move || write_now(&run_dir, name, &bytes)).await
}

/// [`write`], for those who may block.
pub fn write_now(run_dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut staged_name = OsString::from(".");
    staged_name.push(name);
    staged_name.push(".new");
    let staged = run_dir.join(staged_name);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&staged, run_dir.join(name))?;
    File::open(run_dir)?.sync_all()
}

/// Removes the directory with everything in it; links are not followed. Idempotent.
pub async fn remove(run_dir: &Path) -> io::Result<()> {
    let run_dir = run_dir.to_owned();
    blocking(move || removal::remove(&run_dir)).await
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_without_write_permission_is_removed_all_the_same() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let run_dir = dir.path().join("runs/1");
        create(&run_dir).await.unwrap();
        create(&run_dir).await.unwrap();
        write(&run_dir, "run.json", b"{}").await.unwrap();
        let locked = run_dir.join("ml/model");
        fs::create_dir_all(&locked).unwrap();
        fs::write(locked.join("file"), b"x").unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
        remove(&run_dir).await.unwrap();
        remove(&run_dir).await.unwrap();
        assert!(!run_dir.exists());
    }
}
