//! Downloads: streamed; large objects in parallel ranges of one and the same version.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, Method};
use hyper::body::Incoming;
use tokio::task::JoinSet;

use super::{Head, Progress, S3, call, head_of, length, object_path, on_file};
use crate::error::Error;
use crate::transport::{collect, next_chunk};

const OPERATION: &str = "GetObject";

/// Objects above this come in parallel ranges.
const PARALLEL_ABOVE_BYTES: u64 = 64 << 20;
const RANGE_BYTES: u64 = 32 << 20;
const PARALLEL_RANGES: usize = 4;

/// Gathered before it is written: one trip to the file for many small network reads.
const WRITE_BYTES: usize = 1 << 20;

/// A body that breaks off is asked for again this often.
const ATTEMPTS_MAX: u32 = 4;

/// An object being read.
pub struct Download {
    pub head: Head,
    bucket: String,
    key: String,
    received: u64,
    body: Incoming,
}

impl Download {
    /// The next piece; `None` at the end. An object that ends early is an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = next_chunk(&mut self.body, OPERATION).await?;
        match &chunk {
            Some(bytes) => self.received += length(bytes),
            None if self.received != self.head.size => {
                return Err(Error::Truncated {
                    bucket: self.bucket.clone(),
                    key: self.key.clone(),
                    received: self.received,
                    expected: self.head.size,
                });
            }
            None => {}
        }
        Ok(chunk)
    }
}

impl S3 {
    /// Opens an object for reading from its start.
    pub async fn get(&self, bucket: &str, key: &str) -> Result<Download, Error> {
        self.open(bucket, key, None).await
    }

    /// An object that is known to be small.
    pub async fn get_bytes(&self, bucket: &str, key: &str, bytes_max: u64) -> Result<Bytes, Error> {
        let download = self.get(bucket, key).await?;
        if download.head.size > bytes_max {
            return Err(Error::TooLarge { operation: OPERATION.to_owned(), bytes_max });
        }
        collect(download.body, OPERATION, bytes_max).await
    }

    /// Writes the object to `file` from its start; the file should be empty.
    pub async fn get_file(
        &self,
        bucket: &str,
        key: &str,
        file: File,
        progress: Option<Progress>,
    ) -> Result<Head, Error> {
        let target = Target { file: Arc::new(file), progress };
        let mut attempt = 1;
        loop {
            let download = self.get(bucket, key).await?;
            let head = download.head.clone();
            let done = if head.size > PARALLEL_ABOVE_BYTES {
                drop(download);
                self.get_ranges(bucket, key, &head, &target).await
            } else {
                target.fill(download, 0).await
            };
            match done {
                Ok(()) => return Ok(head),
                Err(error) if error.is_passing() && attempt < ATTEMPTS_MAX => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn get_ranges(
        &self,
        bucket: &str,
        key: &str,
        head: &Head,
        target: &Target,
    ) -> Result<(), Error> {
        let mut running = JoinSet::new();
        let mut offset = 0;
        while offset < head.size || !running.is_empty() {
            if offset < head.size && running.len() < PARALLEL_RANGES {
                let range = Range {
                    offset,
                    bytes: RANGE_BYTES.min(head.size - offset),
                    etag: head.etag.clone(),
                };
                offset += range.bytes;
                let (s3, target) = (self.clone(), target.clone());
                let (bucket, key) = (bucket.to_owned(), key.to_owned());
                running.spawn(async move { s3.get_range(&bucket, &key, range, &target).await });
                continue;
            }
            if let Some(joined) = running.join_next().await {
                joined.unwrap_or_else(|source| {
                    Err(Error::Build { operation: OPERATION.to_owned(), source: Box::new(source) })
                })?;
            }
        }
        Ok(())
    }

    async fn get_range(
        &self,
        bucket: &str,
        key: &str,
        range: Range,
        target: &Target,
    ) -> Result<(), Error> {
        let mut attempt = 1;
        loop {
            let download = self.open(bucket, key, Some(&range)).await?;
            match target.fill(download, range.offset).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_passing() && attempt < ATTEMPTS_MAX => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn open(
        &self,
        bucket: &str,
        key: &str,
        range: Option<&Range>,
    ) -> Result<Download, Error> {
        let mut call = call(OPERATION, Method::GET, object_path(bucket, key));
        if let Some(range) = range {
            let last = range.offset + range.bytes.saturating_sub(1);
            call.headers.push((http::header::RANGE, format!("bytes={}-{last}", range.offset)));
            call.headers.push((HeaderName::from_static("if-match"), range.etag.clone()));
        }
        let answer = self.client.send(&call).await?;
        Ok(Download {
            head: head_of(&answer.headers, OPERATION)?,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            received: 0,
            body: answer.body,
        })
    }
}

/// A piece of one version of an object.
#[derive(Debug, Clone)]
struct Range {
    offset: u64,
    bytes: u64,
    etag: String,
}

#[derive(Clone)]
struct Target {
    file: Arc<File>,
    progress: Option<Progress>,
}

impl Target {
    async fn fill(&self, mut download: Download, mut offset: u64) -> Result<(), Error> {
        let mut gathered = BytesMut::new();
        loop {
            let chunk = download.chunk().await?;
            let ended = chunk.is_none();
            gathered.extend_from_slice(&chunk.unwrap_or_default());
            if gathered.len() >= WRITE_BYTES || (ended && !gathered.is_empty()) {
                let piece = gathered.split().freeze();
                let bytes = length(&piece);
                let file = Arc::clone(&self.file);
                on_file(OPERATION, move || file.write_all_at(&piece, offset)).await?;
                offset += bytes;
                if let Some(progress) = &self.progress {
                    progress(bytes);
                }
            }
            if ended {
                return Ok(());
            }
        }
    }
}
