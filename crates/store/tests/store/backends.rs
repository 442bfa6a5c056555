//! Instantiates each suite for each backend.

use std::sync::Arc;

use kennel_store::memory::{MemoryBlobs, MemoryRecords, MemoryStreams};
use kennel_store::{Blobs, DiskBlobs, DiskStreams, Records, SqliteRecords, Streams};
use tempfile::TempDir;

use crate::suite::{blobs_suite, records_suite, streams_suite};

/// The store, and its directory for as long as the test runs.
type Opened<T> = (Arc<T>, Option<TempDir>);

records_suite!(memory_records, super::memory_records());
records_suite!(sqlite_records, super::sqlite_records());
blobs_suite!(memory_blobs, super::memory_blobs());
blobs_suite!(disk_blobs, super::disk_blobs());
streams_suite!(memory_streams, super::memory_streams());
streams_suite!(disk_streams, super::disk_streams());

fn memory_records() -> Opened<dyn Records> {
    (Arc::new(MemoryRecords::new()), None)
}

fn sqlite_records() -> Opened<dyn Records> {
    let dir = tempfile::tempdir().unwrap();
    (Arc::new(SqliteRecords::open(&dir.path().join("records.sqlite")).unwrap()), Some(dir))
}

fn memory_blobs() -> Opened<dyn Blobs> {
    (Arc::new(MemoryBlobs::new()), None)
}

fn disk_blobs() -> Opened<dyn Blobs> {
    let dir = tempfile::tempdir().unwrap();
    (Arc::new(DiskBlobs::open(dir.path()).unwrap()), Some(dir))
}

fn memory_streams() -> Opened<dyn Streams> {
    (Arc::new(MemoryStreams::new()), None)
}

fn disk_streams() -> Opened<dyn Streams> {
    let dir = tempfile::tempdir().unwrap();
    (Arc::new(DiskStreams::open(dir.path()).unwrap()), Some(dir))
}
