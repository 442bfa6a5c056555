//! A directory into a bucket, with progress.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kennel_client::{Client, Put};
use tokio::task::JoinSet;

use crate::connect::refused;
use crate::failure::{Failure, Kind};
use crate::progress::Counter;

/// Enough to keep both sides busy; each holds one file open.
const UPLOADS_AT_ONCE: usize = 16;
/// A guard against uploading a whole disk by mistake.
const FILES_MAX: usize = 1_000_000;

/// What was uploaded.
#[derive(Debug, Clone, Copy)]
pub struct Uploaded {
    pub files: usize,
    pub bytes: u64,
}

/// Uploads every file below `directory` to `prefix` + its relative path.
pub async fn directory(
    client: &Client,
    directory: &Path,
    bucket: &str,
    prefix: &str,
) -> Result<Uploaded, Failure> {
    let files = files_below(directory)?;
    if files.is_empty() {
        let message = format!("there are no files in `{}`", directory.display());
        return Err(Failure::new(Kind::Environment, message));
    }
    let s3 = client.s3();
    s3.create_bucket(bucket).await.map_err(|error| refused("CreateBucket failed", &error))?;
    let mut counter = Counter::start("uploading", files.len() as u64);
    let mut under_way = JoinSet::new();
    let mut uploaded = Uploaded { files: 0, bytes: 0 };
    let mut waiting = files.into_iter();
    loop {
        while under_way.len() < UPLOADS_AT_ONCE {
            let Some(path) = waiting.next() else { break };
            let key = key_of(directory, prefix, &path)?;
            let (s3, bucket) = (s3.clone(), Arc::<str>::from(bucket));
            under_way.spawn(async move { upload(&s3, &bucket, &key, &path).await });
        }
        let Some(done) = under_way.join_next().await else { break };
        let bytes = done
            .map_err(|error| Failure::caused(Kind::Environment, "an upload broke off", &error))??;
        uploaded.files += 1;
        uploaded.bytes += bytes;
        counter.at(uploaded.files as u64);
    }
    counter.finish();
    Ok(uploaded)
}

async fn upload(
    s3: &kennel_client::S3,
    bucket: &str,
    key: &str,
    path: &Path,
) -> Result<u64, Failure> {
    let file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    let stored = s3
        .put_file(bucket, key, file, &Put::default(), None)
        .await
        .map_err(|error| refused(&format!("PutObject of `{key}` failed"), &error))?;
    Ok(stored.size)
}

fn key_of(directory: &Path, prefix: &str, path: &Path) -> Result<String, Failure> {
    let relative = path.strip_prefix(directory).unwrap_or(path);
    match relative.to_str() {
        Some(relative) => Ok(format!("{prefix}{relative}")),
        None => {
            let message = format!("the name of `{}` is not UTF-8", path.display());
            Err(Failure::new(Kind::Environment, message))
        }
    }
}

/// Regular files in a stable order; links are followed to files, not to directories.
fn files_below(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(next) = directories.pop() {
        let entries = std::fs::read_dir(&next).map_err(|error| unreadable(&next, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&next, &error))?;
            let kind = entry.file_type().map_err(|error| unreadable(&next, &error))?;
            if kind.is_dir() {
                directories.push(entry.path());
            } else if entry.path().is_file() {
                files.push(entry.path());
            }
        }
        if files.len() > FILES_MAX {
            let message = format!("`{}` holds more than {FILES_MAX} files", directory.display());
            return Err(Failure::new(Kind::Environment, message));
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::caused(Kind::Environment, &format!("cannot read `{}`", path.display()), error)
}
