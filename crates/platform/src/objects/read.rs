//! Reading an object's bytes, whole or a range, across the parts it was uploaded in.

use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use kennel_store::{BlobId, Reader};

use super::Objects;
use super::document::{Content, Manifest, ManifestPart, ObjectMeta, Stored};
use super::error::{BodyError, Error};
use super::leases::Lease;
use super::object::unit;
use super::receive::Body;
use crate::limits::OBJECT_COMMIT_ATTEMPTS;

/// An object opened for reading: its bytes stay until this and the body read from it are dropped,
/// whatever happens to the key.
pub struct Download {
    pub meta: ObjectMeta,
    name: (String, String),
    content: Content,
    manifest: Option<Manifest>,
    blobs: std::sync::Arc<dyn kennel_store::Blobs>,
    lease: Lease,
}

/// Where a part lies in the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRange {
    pub number: u32,
    pub range: Range<u64>,
    /// Base64, of the object's checksum algorithm.
    pub checksum: Option<String>,
}

impl Objects {
    pub async fn open(&self, bucket: &str, key: &str) -> Result<Download, Error> {
        for _ in 0..OBJECT_COMMIT_ATTEMPTS {
            let mark = self.leases.mark();
            let Stored { value: object, revision } = self.stored_object(bucket, key).await?;
            let lease = self.leases.take(unit(&object.content));
            // Bytes given up since the record was read might be these: only a second look shows.
            if self.leases.mark() != mark
                && self.find(bucket, key).await?.map(|again| again.revision) != Some(revision)
            {
                continue;
            }
            let manifest = match &object.content {
                Content::Manifest(id) => match self.manifest(id).await {
                    Ok(manifest) => Some(manifest),
                    Err(Error::Corrupt { .. }) => continue,
                    Err(error) => return Err(error),
                },
                Content::Empty | Content::Blob(_) => None,
            };
            return Ok(Download {
                meta: object.meta,
                name: (bucket.to_owned(), key.to_owned()),
                content: object.content,
                manifest,
                blobs: self.blobs.clone(),
                lease,
            });
        }
        Err(Error::Contended)
    }
}

impl Download {
    /// The parts the object was uploaded in; one that covers everything where there were none.
    pub fn parts(&self) -> Vec<PartRange> {
        let Some(manifest) = &self.manifest else {
            return vec![PartRange { number: 1, range: 0..self.meta.size, checksum: None }];
        };
        let mut start = 0;
        let parts = manifest.parts.iter().map(|part| {
            let range = start..start + part.size;
            start = range.end;
            PartRange { number: part.number, range, checksum: part.checksum.clone() }
        });
        parts.collect()
    }

    /// Streams the bytes of `range`, clipped to the object. The first chunk's blob is opened
    /// before this returns, so that a missing one is an error and not a torn body.
    pub async fn read(self, range: Range<u64>) -> Result<Body<'static>, Error> {
        let mut pieces = self.pieces(&range).into_iter();
        let Some((blob, range)) = pieces.next() else { return Ok(Box::pin(stream::empty())) };
        let state = Reading {
            current: self.blobs.read(&blob, range).await?,
            pieces,
            blobs: self.blobs,
            _lease: self.lease,
        };
        Ok(Box::pin(stream::try_unfold(state, next_chunk)))
    }

    pub(super) fn is_of(&self, bucket: &str, key: &str) -> bool {
        self.name.0 == bucket && self.name.1 == key
    }

    pub(super) const fn content(&self) -> &Content {
        &self.content
    }

    /// The blobs, and the range of each, that `range` of the object lies in.
    fn pieces(&self, range: &Range<u64>) -> Vec<(BlobId, Range<u64>)> {
        match (&self.content, &self.manifest) {
            (Content::Blob(blob), _) => vec![(blob.0.clone(), range.clone())],
            (_, Some(manifest)) => pieces(&manifest.parts, range),
            (Content::Empty | Content::Manifest(_), None) => Vec::new(),
        }
    }
}

struct Reading {
    current: Reader,
    pieces: std::vec::IntoIter<(BlobId, Range<u64>)>,
    blobs: std::sync::Arc<dyn kennel_store::Blobs>,
    _lease: Lease,
}

async fn next_chunk(mut state: Reading) -> Result<Option<(Bytes, Reading)>, BodyError> {
    loop {
        if let Some(chunk) = state.current.next().await {
            return Ok(Some((chunk?, state)));
        }
        let Some((blob, range)) = state.pieces.next() else { return Ok(None) };
        state.current = state.blobs.read(&blob, range).await?;
    }
}

fn pieces(parts: &[ManifestPart], range: &Range<u64>) -> Vec<(BlobId, Range<u64>)> {
    let mut start = 0;
    let mut pieces = Vec::new();
    for part in parts {
        let end = start + part.size;
        if let Some(blob) = &part.blob
            && start < range.end
            && end > range.start
        {
            let within = range.start.max(start) - start..range.end.min(end) - start;
            pieces.push((blob.0.clone(), within));
        }
        start = end;
    }
    pieces
}
