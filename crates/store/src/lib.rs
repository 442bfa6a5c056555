//! The storage seam: three small traits and their backends.
//!
//! - [`Records`]: revisioned documents with conditional, atomic writes and byte-ordered listing.
//! - [`Blobs`]: immutable byte strings, staged, verified and committed by rename.
//! - [`Streams`]: append-only checksummed segments for logs, audit lines and metric points.
//!
//! On disk these are [`SqliteRecords`], [`DiskBlobs`] and [`DiskStreams`]; [`memory`] has all
//! three for tests. A data directory has one owner at a time, see [`lock`].
//!
//! Nothing here knows what a bucket, a job or a log group is, and no name given by a user ever
//! becomes a path: blobs and streams are addressed by ids this crate makes or checks.
//! Each trait has one suite of tests (`tests/store/suite`) that every backend passes.

pub mod blobs;
mod disk;
mod disk_blobs;
mod disk_streams;
pub mod lock;
pub mod memory;
pub mod records;
pub mod sqlite;
pub mod streams;
mod watches;

pub use blobs::{BlobId, Blobs, Reader, Staged};
pub use disk_blobs::DiskBlobs;
pub use disk_streams::DiskStreams;
pub use records::{Expect, Record, Records, Revision, Write};
pub use sqlite::SqliteRecords;
pub use streams::{Append, Entry, Streams};
