//! Immutable byte strings: object bodies, parts, code packages.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;

/// Names a committed blob: 32 lower-case hexadecimal digits, random.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(String);

impl BlobId {
    /// Accepts exactly what [`BlobId`]'s `Display` prints.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 32
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        fits.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// 128 random bits: two blobs never meet under one name.
    pub(crate) fn random() -> Result<Self, Error> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits)
            .map_err(|error| Error::Io(std::io::Error::other(error.to_string())))?;
        Ok(Self(hex::encode(bits)))
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Chunks of a blob, read on demand; never more than a chunk in memory.
pub type Reader = Pin<Box<dyn futures::Stream<Item = Result<Bytes, Error>> + Send>>;

/// Bulk storage. A blob is written once and never changed.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// A place to write a new blob to. Dropped without `commit`, it leaves nothing behind.
    async fn stage(&self) -> Result<Box<dyn Staged>, Error>;

    /// The blob's length in bytes; `Error::Absent` where there is none.
    async fn length(&self, id: &BlobId) -> Result<u64, Error>;

    /// Streams the bytes of `range` (clipped to the blob). `Error::Absent` where there is none.
    async fn read(&self, id: &BlobId, range: Range<u64>) -> Result<Reader, Error>;

    /// Idempotent: an absent blob is no error. Readers under way keep their bytes.
    async fn delete(&self, id: &BlobId) -> Result<(), Error>;

    /// Every committed blob, for the sweep at start that removes what no record names.
    async fn list(&self) -> Result<Vec<BlobId>, Error>;
}

/// A blob being written.
#[async_trait]
pub trait Staged: Send {
    async fn write(&mut self, chunk: Bytes) -> Result<(), Error>;

    /// Makes the blob durable (file and directory synced) and names it. `length` is what the
    /// writer believes it wrote; a difference is an error and nothing is kept.
    async fn commit(self: Box<Self>, length: u64) -> Result<BlobId, Error>;
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no blob `{0}`")]
    Absent(BlobId),
    #[error("wrote {written} bytes where {expected} were announced")]
    Length { written: u64, expected: u64 },
    #[error("the disk is full")]
    Full,
    #[error("the blob store failed")]
    Io(#[source] std::io::Error),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        if crate::disk::is_full(&error) { Self::Full } else { Self::Io(error) }
    }
}
