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
use crate::tree::{Folder, Found, Kind};
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

/// Size and time of change of each file that the bucket has as it is here.
type Known = HashMap<PathBuf, (u64, i128)>;

/// The checkpoints of one job.
pub(super) struct Sync {
    s3: S3,
    checkpoints: Checkpoints,
    run_dir: PathBuf,
    place: PathBuf,
    known: Mutex<Known>,
}

impl Sync {
    pub fn new(s3: S3, checkpoints: &Checkpoints, run_dir: &Path) -> Result<Self, Failure> {
        Ok(Self {
            s3,
            checkpoints: checkpoints.clone(),
            run_dir: run_dir.to_owned(),
            place: place(checkpoints)?,
            known: Mutex::default(),
        })
    }

    /// The bind that a path outside of `/opt/ml` needs.
    pub fn bind(&self) -> Option<Bind> {
        (!self.place.starts_with(BASE)).then(|| Bind {
            host: self.run_dir.join(&self.place),
            inside: PathBuf::from(&self.checkpoints.local_path),
            access: Access::Writable,
            path_env: None,
        })
    }

    /// Brings what the bucket has; nothing there is no error.
    pub async fn restore(&self) -> Result<(), Failure> {
        let directory = self.run_dir.join(&self.place);
        let Checkpoints { bucket, .. } = &self.checkpoints;
        let doing = self.doing("download");
        let made = directory.clone();
        blocking(&doing, move || std::fs::create_dir_all(made)).await?;
        let prefix = folder_prefix(&self.checkpoints);
        let mut lister = self.s3.list(bucket, &prefix);
        while let Some(page) = lister.page().await.map_err(|error| Failure::call(&doing, &error))? {
            for object in page {
                let name = keys::below(&object.key, &prefix);
                let unusable = |why| {
                    let key = &object.key;
                    Failure::Client(format!("{doing}: \"{key}\" cannot become a file: {why}"))
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
                let got = self.s3.get_file(bucket, &object.key, file, None).await;
                got.map_err(|error| Failure::call(&doing, &error))?;
            }
        }
        let (_folder, found) = self.look(&doing).await?;
        let known = found.into_iter().map(|found| (found.path, (found.size, found.modified_ns)));
        self.known.lock().await.extend(known);
        Ok(())
    }

    /// Uploads changes until the handle is dropped. What fails is tried again at the next look.
    pub fn keep_uploading(self: Arc<Self>) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                tokio::time::sleep(CHECKPOINT_INTERVAL).await;
                if let Err(failure) = self.upload().await {
                    tracing::warn!(%failure, "checkpoints were not uploaded, trying again");
                }
            }
        }))
    }

    /// Uploads what the bucket does not have yet.
    pub async fn upload(&self) -> Result<(), Failure> {
        let doing = self.doing("upload");
        let mut known = self.known.lock().await;
        let (folder, found) = self.look(&doing).await?;
        let Some(folder) = folder else { return Ok(()) };
        let prefix = folder_prefix(&self.checkpoints);
        for found in found {
            let seen = (found.size, found.modified_ns);
            let Some(name) = found.path.to_str() else { continue };
            if known.get(&found.path) == Some(&seen) {
                continue;
            }
            let key = format!("{prefix}{name}");
            let (from, path) = (Arc::clone(&folder), found.path.clone());
            let Some(file) = blocking(&doing, move || from.file(&path)).await? else { continue };
            let bucket = &self.checkpoints.bucket;
            let put = self.s3.put_file(bucket, &key, file, &Put::default(), None).await;
            put.map_err(|error| Failure::call(&doing, &error))?;
            known.insert(found.path, seen);
        }
        Ok(())
    }

    /// The files there are now.
    async fn look(&self, doing: &str) -> Result<(Option<Arc<Folder>>, Vec<Found>), Failure> {
        let (root, place) = (self.run_dir.clone(), self.place.clone());
        blocking(doing, move || {
            let folder = Folder::open(&root)?.folder(&place)?;
            let mut found = folder.as_ref().map(Folder::walk).transpose()?.unwrap_or_default();
            found.retain(|found| found.kind == Kind::File);
            Ok((folder.map(Arc::new), found))
        })
        .await
    }

    fn doing(&self, what: &str) -> String {
        let Checkpoints { bucket, prefix, .. } = &self.checkpoints;
        format!("Checkpoint {what} failed: \"s3://{bucket}/{prefix}\"")
    }
}

fn folder_prefix(checkpoints: &Checkpoints) -> String {
    match checkpoints.prefix.as_str() {
        "" => String::new(),
        prefix if prefix.ends_with('/') => prefix.to_owned(),
        prefix => format!("{prefix}/"),
    }
}
