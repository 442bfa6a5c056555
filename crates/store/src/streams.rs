//! Append-only streams: log lines, audit lines, metric points.

use async_trait::async_trait;
use bytes::Bytes;

/// The largest body: CloudWatch takes log events of up to 1 MiB, audit lines are smaller.
pub const ENTRY_BYTES_MAX: usize = 1024 * 1024;

/// A read ends early after this many bytes of bodies, so that no `limit` fills the memory.
pub const READ_BYTES_MAX: usize = 16 * 1024 * 1024;

const ID_LENGTH_MAX: usize = 64;

/// One entry of a stream. `sequence` starts at 0 and grows by one an entry; `timestamp_ms` is the
/// writer's (milliseconds since 1970-01-01 UTC) and need not grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub sequence: u64,
    pub timestamp_ms: i64,
    pub body: Bytes,
}

/// An entry to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    pub timestamp_ms: i64,
    pub body: Bytes,
}

/// Streams of small entries, addressed by an id of the caller (ASCII letters, digits, `-`, `_`;
/// at most 64 characters; never a name given by a user).
#[async_trait]
pub trait Streams: Send + Sync + 'static {
    /// Appends in order and returns the sequence number after the last. Written to the operating
    /// system on return, so that a killed server loses nothing; synced to the disk within a second
    /// or on [`Streams::sync`]. The stream is made by its first append.
    async fn append(&self, id: &str, entries: Vec<Append>) -> Result<u64, Error>;

    /// Entries from `sequence` on, in order, at most `limit` and fewer where their bodies exceed
    /// [`READ_BYTES_MAX`] (then at least one); empty where there are none (yet) or the stream does
    /// not exist.
    async fn read(&self, id: &str, sequence: u64, limit: usize) -> Result<Vec<Entry>, Error>;

    /// The sequence number the next entry will have; 0 for an absent stream.
    async fn end(&self, id: &str) -> Result<u64, Error>;

    /// Bytes the stream takes on disk.
    async fn size_bytes(&self, id: &str) -> Result<u64, Error>;

    /// Forces what was appended to the disk.
    async fn sync(&self, id: &str) -> Result<(), Error>;

    /// Idempotent.
    async fn delete(&self, id: &str) -> Result<(), Error>;
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not a stream id")]
    BadId(String),
    #[error("an entry of {0} bytes is larger than a stream takes")]
    TooLarge(usize),
    #[error("the disk is full")]
    Full,
    #[error("the stream store failed")]
    Io(#[source] std::io::Error),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        if crate::disk::is_full(&error) { Self::Full } else { Self::Io(error) }
    }
}

/// Refuses every id that could be more than one plain file name.
pub(crate) fn check_id(id: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=ID_LENGTH_MAX).contains(&id.len()) && id.bytes().all(plain) {
        Ok(())
    } else {
        Err(Error::BadId(id.to_owned()))
    }
}

pub(crate) fn check_sizes(entries: &[Append]) -> Result<(), Error> {
    match entries.iter().map(|entry| entry.body.len()).find(|length| *length > ENTRY_BYTES_MAX) {
        Some(length) => Err(Error::TooLarge(length)),
        None => Ok(()),
    }
}
