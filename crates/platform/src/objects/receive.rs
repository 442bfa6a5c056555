//! Takes a body in: bytes go to the stage while their digests are computed. Nothing is committed
//! until the whole body has arrived without error and every announced digest was compared.

use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use kennel_store::{BlobId, Staged};
use md5::{Digest as _, Md5};

use super::checksum::{Algorithm, Checksum, Hasher};
use super::error::{BodyError, Error};
use super::leases::Writing;
use super::{Objects, document};

/// A body as it arrives.
pub type Body<'a> = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send + 'a>>;

/// A whole body on the stage. Dropped, it leaves nothing behind.
pub struct Received {
    pub(super) size: u64,
    pub(super) md5: [u8; 16],
    checksums: Vec<(Algorithm, Vec<u8>)>,
    staged: Option<Box<dyn Staged>>,
    /// Ends when the record that names the blob is made, or the body is given up.
    writing: Writing,
}

impl Objects {
    /// Reads `body` to its end and computes the MD5 and the checksums of `algorithms`. A body of
    /// more than `size_max` bytes fails with [`Error::TooLarge`], a broken one with
    /// [`Error::Body`]; what is left of the body is then the caller's to read or to drop.
    pub async fn receive(
        &self,
        body: &mut Body<'_>,
        algorithms: &[Algorithm],
        size_max: u64,
    ) -> Result<Received, Error> {
        let writing = self.writers.begin();
        let mut md5 = Md5::new();
        let mut hashers: Vec<Hasher> = algorithms.iter().map(|each| Hasher::new(*each)).collect();
        let mut staged: Option<Box<dyn Staged>> = None;
        let mut size = 0_u64;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(Error::Body)?;
            if chunk.is_empty() {
                continue;
            }
            size = size.saturating_add(chunk.len() as u64);
            if size > size_max {
                return Err(Error::TooLarge { max: size_max });
            }
            md5.update(&chunk);
            for hasher in &mut hashers {
                hasher.update(&chunk);
            }
            match &mut staged {
                Some(staged) => staged.write(chunk).await?,
                None => staged.insert(self.blobs.stage().await?).write(chunk).await?,
            }
        }
        let checksums =
            hashers.into_iter().map(|hasher| (hasher.algorithm(), hasher.finish())).collect();
        Ok(Received { size, md5: md5.finalize().into(), checksums, staged, writing })
    }
}

impl Received {
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The MD5 in hexadecimal, which is the ETag of an object put in one piece.
    pub fn etag(&self) -> String {
        hex::encode(self.md5)
    }

    pub fn check_md5(&self, expected: &[u8]) -> Result<(), Error> {
        if self.md5 == expected { Ok(()) } else { Err(Error::BadMd5) }
    }

    /// Compares with an announced value; one of an algorithm that was not asked for differs.
    pub fn check(&self, algorithm: Algorithm, expected: &[u8]) -> Result<(), Error> {
        if self.raw(algorithm).is_some_and(|raw| raw == expected) {
            return Ok(());
        }
        Err(Error::BadChecksum(algorithm))
    }

    pub fn checksum(&self, algorithm: Algorithm) -> Option<Checksum> {
        self.raw(algorithm).map(|raw| Checksum::full(algorithm, raw))
    }

    fn raw(&self, algorithm: Algorithm) -> Option<&[u8]> {
        let found = self.checksums.iter().find(|(each, _)| *each == algorithm);
        found.map(|(_, raw)| raw.as_slice())
    }

    /// Makes the blob durable; an empty body needs none. What is returned beside it keeps the
    /// sweep away and is to be dropped once a record names the blob.
    pub(super) async fn commit(self) -> Result<(Option<BlobId>, Writing), Error> {
        let Some(staged) = self.staged else { return Ok((None, self.writing)) };
        Ok((Some(staged.commit(self.size).await?), self.writing))
    }
}

pub(super) fn content(blob: Option<BlobId>) -> document::Content {
    match blob {
        Some(blob) => document::Content::Blob(document::StoredId(blob)),
        None => document::Content::Empty,
    }
}
