//! Checkpoints: down before the workload starts, up while it runs and at its end.
//!
//! A checkpoint that is gone locally stays in the bucket, as on SageMaker: workloads delete old
//! ones to save disk, not to lose them.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use kennel_client::{Put, S3};
use kennel_exec::{Access, Bind};
use kennel_wire::run::Checkpoints;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::keys;
use crate::error::{Failure, blocking};
use crate::limits::CHECKPOINT_INTERVAL;
use crate::tree::{Folder, Kind};
use crate::workload::BASE;

const BASE_INSIDE: &str = "/opt/ml";

/// Where checkpoints lie below the run's directory, when they appear outside of `/opt/ml`.
const ELSEWHERE: &str = "checkpoints";

/// The directory's place below the run's own.
fn place(checkpoints: &Checkpoints) -> Result<PathBuf, Failure> {
    let inside = Path::new(&checkpoints.local_path);
    let plain = inside.is_absolute()
        && inside
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !plain {
        return Err(Failure::Client(format!(
            "the checkpoint path \"{}\" is not an absolute path without `..`",
            checkpoints.local_path
        )));
    }
    Ok(match inside.strip_prefix(BASE_INSIDE) {
        Ok(below) => Path::new(BASE).join(below),
        Err(_) => PathBuf::from(ELSEWHERE),
    })
}

/// The bind that a path outside of `/opt/ml` needs.
pub(super) fn bind(checkpoints: &Checkpoints, run_dir: &Path) -> Result<Vec<Bind>, Failure> {
    let place = place(checkpoints)?;
    if place.starts_with(BASE) {
        return Ok(Vec::new());
    }
    Ok(vec![Bind {
        host: run_dir.join(place),
        inside: PathBuf::from(&checkpoints.local_path),
        access: Access::Writable,
        path_env: None,
    }])
}

/// Brings what the bucket has; nothing there is no error.
pub(super) async fn restore(
    s3: &S3,
    checkpoints: &Checkpoints,
    run_dir: &Path,
) -> Result<(), Failure> {
    let directory = run_dir.join(place(checkpoints)?);
    let doing = format!(
        "Checkpoint download failed: \"s3://{}/{}\"",
        checkpoints.bucket, checkpoints.prefix
    );
    let made = directory.clone();
    blocking(&doing, move || std::fs::create_dir_all(made)).await?;
    let prefix = folder_prefix(checkpoints);
    let mut lister = s3.list(&checkpoints.bucket, &prefix);
    loop {
        let page = lister.page().await.map_err(|error| Failure::call(&doing, &error))?;
        let Some(page) = page else { return Ok(()) };
        for object in page {
            let name = keys::below(&object.key, &prefix);
            let unusable = |why| {
                Failure::Client(format!("{doing}: \"{}\" cannot become a file: {why}", object.key))
            };
            let Some(path) = keys::relative(name).map_err(unusable)? else { continue };
            let target = directory.join(path);
            let file = blocking(&doing, move || {
                if let Some(parent) = target.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                std::fs::File::create(target)
            })
            .await?;
            s3.get_file(&checkpoints.bucket, &object.key, file, None)
                .await
                .map_err(|error| Failure::call(&doing, &error))?;
        }
    }
}

/// Uploads changes until the handle is dropped. What fails is tried again at the next look.
pub(super) fn keep_uploading(
    s3: S3,
    checkpoints: Checkpoints,
    run_dir: &Path,
) -> AbortOnDropHandle<()> {
    let run_dir = run_dir.to_owned();
    AbortOnDropHandle::new(tokio::spawn(async move {
        let sent = Arc::new(Mutex::new(Sent::default()));
        loop {
            tokio::time::sleep(CHECKPOINT_INTERVAL).await;
            let mut sent = sent.lock().await;
            if let Err(failure) = upload(&s3, &checkpoints, &run_dir, &mut sent).await {
                tracing::warn!(%failure, "checkpoints were not uploaded, trying again");
            }
        }
    }))
}

/// Uploads everything there is, at the end.
pub(super) async fn upload_all(
    s3: &S3,
    checkpoints: &Checkpoints,
    run_dir: &Path,
) -> Result<(), Failure> {
    upload(s3, checkpoints, run_dir, &mut Sent::default()).await
}

/// Size and time of change of what was uploaded last.
type Sent = HashMap<PathBuf, (u64, i128)>;

async fn upload(
    s3: &S3,
    checkpoints: &Checkpoints,
    run_dir: &Path,
    sent: &mut Sent,
) -> Result<(), Failure> {
    let doing =
        format!("Checkpoint upload failed: \"s3://{}/{}\"", checkpoints.bucket, checkpoints.prefix);
    let root = run_dir.to_owned();
    let place = place(checkpoints)?;
    let (folder, found) = blocking(&doing, move || {
        let folder = Folder::open(&root)?.folder(&place)?;
        let found = folder.as_ref().map(Folder::walk).transpose()?.unwrap_or_default();
        Ok((folder.map(Arc::new), found))
    })
    .await?;
    let Some(folder) = folder else { return Ok(()) };
    let prefix = folder_prefix(checkpoints);
    for found in found.into_iter().filter(|found| found.kind == Kind::File) {
        let seen = (found.size, found.modified_ns);
        let Some(name) = found.path.to_str() else { continue };
        if sent.get(&found.path) == Some(&seen) {
            continue;
        }
        let key = format!("{prefix}{name}");
        let (from, path) = (Arc::clone(&folder), found.path.clone());
        let Some(file) = blocking(&doing, move || from.file(&path)).await? else { continue };
        s3.put_file(&checkpoints.bucket, &key, file, &Put::default(), None)
            .await
            .map_err(|error| Failure::call(&doing, &error))?;
        sent.insert(found.path, seen);
    }
    Ok(())
}

fn folder_prefix(checkpoints: &Checkpoints) -> String {
    match checkpoints.prefix.as_str() {
        "" => String::new(),
        prefix if prefix.ends_with('/') => prefix.to_owned(),
        prefix => format!("{prefix}/"),
    }
}
