//! What can go wrong with buckets, objects and uploads. `api` gives each its AWS code.

use kennel_store::{blobs, records};

use super::checksum::Algorithm;

/// What a body's sender, or the signature check around it, reports when the stream breaks.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no bucket `{0}`")]
    NoSuchBucket(String),
    #[error("bucket `{0}` exists")]
    BucketExists(String),
    #[error("bucket `{0}` is not empty")]
    BucketNotEmpty(String),
    #[error("bucket `{0}` is being deleted")]
    BucketBusy(String),
    #[error("no object `{0}`")]
    NoSuchKey(String),
    #[error("no upload `{0}`")]
    NoSuchUpload(String),
    #[error("`{0}` does not hold")]
    PreconditionFailed(&'static str),
    #[error("part {0} is absent or is not the one that was uploaded")]
    InvalidPart(u32),
    #[error("parts are not in ascending order")]
    InvalidPartOrder,
    #[error("part {number} has {size} bytes, fewer than a part that is not the last must have")]
    PartTooSmall { number: u32, size: u64 },
    #[error("the body is larger than {max} bytes")]
    TooLarge { max: u64 },
    #[error("the parts together have {actual} bytes where {expected} were announced")]
    SizeMismatch { expected: u64, actual: u64 },
    #[error("the {} of the body is not the one that was announced", .0.name())]
    BadChecksum(Algorithm),
    #[error("the MD5 of the body is not the one that was announced")]
    BadMd5,
    #[error("the upload's checksum is {}, not {}", .expected.name(), .actual.name())]
    WrongAlgorithm { expected: Algorithm, actual: Algorithm },
    #[error("the {} of part {number} is missing", .algorithm.name())]
    PartChecksumMissing { number: u32, algorithm: Algorithm },
    #[error("the sender's stream failed")]
    Body(#[source] BodyError),
    #[error("too many writers at once")]
    Contended,
    #[error("the disk is full")]
    Full,
    #[error("record `{table}/{key}` cannot be read")]
    Corrupt { table: &'static str, key: String },
    #[error("no randomness for an id")]
    Randomness,
    #[error("the record store failed")]
    Records(#[source] records::Error),
    #[error("the blob store failed")]
    Blobs(#[source] blobs::Error),
}

impl From<records::Error> for Error {
    fn from(error: records::Error) -> Self {
        match error {
            records::Error::Full => Self::Full,
            other => Self::Records(other),
        }
    }
}

impl From<blobs::Error> for Error {
    fn from(error: blobs::Error) -> Self {
        match error {
            blobs::Error::Full => Self::Full,
            other => Self::Blobs(other),
        }
    }
}
