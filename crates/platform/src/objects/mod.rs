//! Buckets, objects and multipart uploads over records and blobs.
//!
//! An object is a record that names a blob, or the parts of the upload that made it; a completed
//! upload copies nothing. The blob is durable before the record that names it is committed, and
//! deleted after the last record that named it was replaced: a kill between the two leaves a blob
//! that nobody names, which [`sweep`] removes at the next start. Nothing acknowledged is lost.
//!
//! Bodies stream; no more of one than a few chunks is ever in memory. A name given by a user is
//! part of a record's key, never of a path. Who may do what is `api`'s to decide, before it asks
//! anything here.

mod bucket;
pub mod checksum;
mod document;
mod error;
mod leases;
mod list;
mod object;
mod read;
mod receive;
mod sweep;
mod upload;

use std::sync::Arc;

use kennel_store::{Blobs, Records};

use crate::{Backends, Clock};

pub use bucket::{BucketPage, NamedBucket};
pub use checksum::{Algorithm, Checksum, Kind};
pub use document::{Attributes, Bucket, Encryption, ObjectMeta, Part, Tags, Upload};
pub use error::{BodyError, Error};
pub use list::{After, ListRequest, Listed, Page};
pub use object::{Condition, NewObject};
pub use read::{Download, PartRange};
pub use receive::{Body, Received};
pub use upload::{Completed, CompletedPart, Completion, NewUpload, UploadPage, UploadsRequest};

use leases::{Leases, Writers};

/// Everything in buckets. Cheap to share behind an `Arc`.
pub struct Objects {
    records: Arc<dyn Records>,
    blobs: Arc<dyn Blobs>,
    clock: Arc<dyn Clock>,
    leases: Arc<Leases>,
    writers: Arc<Writers>,
}

impl Objects {
    pub fn new(backends: Backends) -> Self {
        Self {
            records: backends.records,
            blobs: backends.blobs,
            clock: backends.clock,
            leases: Arc::default(),
            writers: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests;
