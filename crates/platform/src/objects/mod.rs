//! Buckets, objects and multipart uploads.

pub struct Objects {}
