//! What is stored of buckets, objects, uploads and parts, and under which keys.

use std::collections::BTreeMap;

use kennel_store::{BlobId, Record, Revision};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::checksum::{Algorithm, Checksum, Kind};
use super::error::Error;

pub(super) const BUCKETS: &str = "buckets";
pub(super) const OBJECTS: &str = "objects";
pub(super) const UPLOADS: &str = "uploads";
pub(super) const PARTS: &str = "parts";
/// The parts of completed uploads: apart from the objects, so that a listing stays cheap however
/// many parts its objects have.
pub(super) const MANIFESTS: &str = "manifests";

pub type Tags = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    pub created_ms: i64,
    #[serde(default)]
    pub tags: Tags,
    /// Set while the bucket is being deleted: no object may be added between the look that found
    /// it empty and its removal.
    #[serde(default)]
    pub(super) deleting: bool,
}

/// What its writer said of an object, given back on reading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website_redirect_location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
}

/// The encryption that was asked for: echoed, the bytes are stored as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    pub algorithm: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_key_enabled: Option<bool>,
}

/// Everything known of an object but its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectMeta {
    pub size: u64,
    /// Without quotes: the MD5, or the MD5 of the parts' MD5s, `-` and their number.
    pub etag: String,
    pub modified_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    /// How many parts it was uploaded in, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
    #[serde(default)]
    pub attributes: Attributes,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Object {
    #[serde(flatten)]
    pub meta: ObjectMeta,
    pub content: Content,
}

/// Where an object's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Content {
    Empty,
    Blob(StoredId),
    /// The id of the upload that made it, which is the key of its manifest.
    Manifest(String),
}

/// A blob's id in its text form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct StoredId(pub BlobId);

impl TryFrom<String> for StoredId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        BlobId::parse(&text).map(Self).ok_or_else(|| format!("`{text}` is not a blob id"))
    }
}

impl From<StoredId> for String {
    fn from(id: StoredId) -> Self {
        id.0.as_str().to_owned()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub parts: Vec<ManifestPart>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ManifestPart {
    pub number: u32,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<StoredId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

/// A multipart upload that is neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    pub key: String,
    pub id: String,
    pub initiated_ms: i64,
    pub algorithm: Algorithm,
    pub kind: Kind,
    /// Whether the creator named the algorithm: only then clients are told of it.
    pub algorithm_was_named: bool,
    #[serde(default)]
    pub attributes: Attributes,
    #[serde(default)]
    pub tags: Tags,
}

/// One uploaded part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub number: u32,
    pub size: u64,
    /// The MD5, without quotes.
    pub etag: String,
    pub modified_ms: i64,
    /// Base64, of the upload's algorithm.
    pub checksum: String,
    /// What its sender announced, where that is of another algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<Checksum>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) blob: Option<StoredId>,
    /// The key of the upload's record, for the sweep.
    pub(super) upload: String,
}

pub(super) fn object_key(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}

/// Hexadecimal keeps the byte order and the prefixes of keys, and `-` sorts before its digits, so
/// that the uploads of `a` come before those of `a!`.
pub(super) fn upload_key(bucket: &str, key: &str, id: &str) -> String {
    format!("{bucket}/{}-{id}", hex::encode(key))
}

pub(super) fn part_key(upload_id: &str, number: u32) -> String {
    format!("{upload_id}/{number:05}")
}

/// A record with its value read.
pub(super) struct Stored<T> {
    pub value: T,
    pub revision: Revision,
}

pub(super) fn read<T: DeserializeOwned>(
    table: &'static str,
    record: &Record,
) -> Result<Stored<T>, Error> {
    let value = serde_json::from_slice(&record.value).map_err(|error| {
        tracing::error!(table, key = record.key, %error, "a record cannot be read");
        Error::Corrupt { table, key: record.key.clone() }
    })?;
    Ok(Stored { value, revision: record.revision })
}

pub(super) fn write<T: Serialize>(
    table: &'static str,
    key: &str,
    value: &T,
) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|_| Error::Corrupt { table, key: key.to_owned() })
}
