//! What is said of an object in headers: read, checked, and given back.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use kennel_platform::objects::{Attributes, Encryption};
use s3s::dto::{self, ETag, ServerSideEncryption, StorageClass, Timestamp};
use s3s::{S3Result, s3_error};

use super::errors;

/// AWS's limit of user metadata, names and values together.
const METADATA_BYTES_MAX: usize = 2 * 1024;

/// What AWS says an object is whose writer said nothing.
pub(super) const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// Headers that ask for something Kennel does not have; a request with one is refused by its name
/// instead of being half done.
const UNSUPPORTED: [&str; 17] = [
    "x-amz-bypass-governance-retention",
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
    "x-amz-if-match-initiated-time",
    "x-amz-if-match-last-modified-time",
    "x-amz-if-match-size",
    "x-amz-mfa",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-rename-source",
    "x-amz-server-side-encryption-context",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
    "x-amz-write-offset-bytes",
];

const GRANTS: [&str; 5] = [
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
];

/// Storage classes that differ in price alone, kept and echoed. The others need a restore before
/// a read, or hardware.
const STORAGE_CLASSES: [&str; 6] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
];

pub(super) fn check_supported(headers: &HeaderMap) -> S3Result<()> {
    if let Some(name) = UNSUPPORTED.into_iter().find(|name| headers.contains_key(*name)) {
        return Err(errors::not_implemented(name));
    }
    if headers.get("x-amz-bucket-object-lock-enabled").is_some_and(|value| value != "false") {
        return Err(errors::not_implemented("x-amz-bucket-object-lock-enabled"));
    }
    // As on AWS since 2023: buckets have no ACLs, and these two say what holds anyway.
    let acl = headers.get("x-amz-acl");
    let acl_is_harmless =
        acl.is_none_or(|acl| acl == "private" || acl == "bucket-owner-full-control");
    if !acl_is_harmless || GRANTS.into_iter().any(|name| headers.contains_key(name)) {
        return Err(errors::custom(
            "AccessControlListNotSupported",
            http::StatusCode::BAD_REQUEST,
            "The bucket does not allow ACLs",
        ));
    }
    Ok(())
}

/// The members that PutObject, CopyObject and CreateMultipartUpload share.
macro_rules! attributes_of {
    ($input:expr) => {
        $crate::services::s3::attributes::Given {
            content_type: $input.content_type.take(),
            content_encoding: $input.content_encoding.take(),
            content_language: $input.content_language.take(),
            content_disposition: $input.content_disposition.take(),
            cache_control: $input.cache_control.take(),
            expires: $input.expires.take(),
            metadata: $input.metadata.take(),
            storage_class: $input.storage_class.take(),
            website_redirect_location: $input.website_redirect_location.take(),
            encryption: $input.server_side_encryption.take(),
            kms_key_id: $input.ssekms_key_id.take(),
            bucket_key_enabled: $input.bucket_key_enabled,
        }
    };
}
pub(super) use attributes_of;

pub(super) struct Given {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub content_disposition: Option<String>,
    pub cache_control: Option<String>,
    pub expires: Option<Timestamp>,
    pub metadata: Option<dto::Metadata>,
    pub storage_class: Option<StorageClass>,
    pub website_redirect_location: Option<String>,
    pub encryption: Option<ServerSideEncryption>,
    pub kms_key_id: Option<String>,
    pub bucket_key_enabled: Option<bool>,
}

impl Given {
    pub fn checked(self) -> S3Result<Attributes> {
        let metadata: BTreeMap<String, String> = self.metadata.into_iter().flatten().collect();
        let size: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        if size > METADATA_BYTES_MAX {
            return Err(s3_error!(
                MetadataTooLarge,
                "Your metadata headers exceed the maximum allowed metadata size"
            ));
        }
        Ok(Attributes {
            content_type: self.content_type.filter(|value| !value.is_empty()),
            content_encoding: self.content_encoding.and_then(|value| stored_encoding(&value)),
            content_language: self.content_language,
            content_disposition: self.content_disposition,
            cache_control: self.cache_control,
            expires_ms: self.expires.map(milliseconds),
            metadata,
            storage_class: storage_class(self.storage_class)?,
            website_redirect_location: self.website_redirect_location,
            encryption: encryption(self.encryption, self.kms_key_id, self.bucket_key_enabled)?,
        })
    }
}

/// `aws-chunked` says how the body travelled, not what it is.
fn stored_encoding(value: &str) -> Option<String> {
    let kept: Vec<&str> =
        value.split(',').map(str::trim).filter(|each| *each != "aws-chunked").collect();
    let kept = kept.join(",");
    (!kept.is_empty()).then_some(kept)
}

fn storage_class(class: Option<StorageClass>) -> S3Result<Option<String>> {
    let Some(class) = class else { return Ok(None) };
    let class = class.as_str();
    if class == "STANDARD" {
        return Ok(None);
    }
    if STORAGE_CLASSES.contains(&class) {
        return Ok(Some(class.to_owned()));
    }
    match class {
        "GLACIER" | "DEEP_ARCHIVE" | "EXPRESS_ONEZONE" | "OUTPOSTS" | "SNOW" | "FSX_OPENZFS" => {
            Err(errors::not_implemented(&format!("x-amz-storage-class {class}")))
        }
        _ => Err(s3_error!(InvalidStorageClass, "The storage class you specified is not valid")),
    }
}

fn encryption(
    algorithm: Option<ServerSideEncryption>,
    kms_key_id: Option<String>,
    bucket_key_enabled: Option<bool>,
) -> S3Result<Option<Encryption>> {
    let algorithm = algorithm.as_ref().map(ServerSideEncryption::as_str);
    match algorithm {
        None | Some("AES256") if kms_key_id.is_some() => Err(errors::invalid_argument(
            "Server Side Encryption with AWS KMS managed key requires HTTP header \
             x-amz-server-side-encryption : aws:kms",
        )),
        None => Ok(None),
        Some(algorithm @ ("AES256" | "aws:kms" | "aws:kms:dsse")) => Ok(Some(Encryption {
            algorithm: algorithm.to_owned(),
            kms_key_id,
            bucket_key_enabled: bucket_key_enabled.filter(|enabled| *enabled),
        })),
        Some(_) => {
            Err(errors::invalid_argument("The encryption method specified is not supported"))
        }
    }
}

/// Sets the members of an output that echo the encryption.
macro_rules! echo_encryption {
    ($output:expr, $attributes:expr) => {
        if let Some(encryption) = &$attributes.encryption {
            $output.server_side_encryption =
                Some(s3s::dto::ServerSideEncryption::from(encryption.algorithm.clone()));
            $output.ssekms_key_id = encryption.kms_key_id.clone();
            $output.bucket_key_enabled = encryption.bucket_key_enabled;
        }
    };
}
pub(super) use echo_encryption;

/// Sets the members of GetObject's and HeadObject's output that come from the object's record.
macro_rules! describe {
    ($output:expr, $meta:expr) => {
        let attributes = &$meta.attributes;
        $output.accept_ranges = Some("bytes".to_owned());
        $output.cache_control = attributes.cache_control.clone();
        $output.content_disposition = attributes.content_disposition.clone();
        $output.content_encoding = attributes.content_encoding.clone();
        $output.content_language = attributes.content_language.clone();
        $output.content_type =
            Some(attributes.content_type.clone().unwrap_or_else(|| {
                $crate::services::s3::attributes::DEFAULT_CONTENT_TYPE.to_owned()
            }));
        $output.e_tag = Some($crate::services::s3::attributes::etag(&$meta.etag));
        $output.expires = attributes.expires_ms.map($crate::services::s3::attributes::timestamp);
        $output.last_modified =
            Some($crate::services::s3::attributes::timestamp($meta.modified_ms));
        $output.metadata = Some(attributes.metadata.clone().into_iter().collect());
        $output.storage_class = attributes.storage_class.clone().map(StorageClass::from);
        $output.website_redirect_location = attributes.website_redirect_location.clone();
        $crate::services::s3::attributes::echo_encryption!($output, attributes);
    };
}
pub(super) use describe;

pub(super) fn etag(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

pub(super) fn timestamp(at_ms: i64) -> Timestamp {
    let since = Duration::from_millis(at_ms.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let at = if at_ms < 0 { epoch.checked_sub(since) } else { epoch.checked_add(since) };
    Timestamp::from(at.unwrap_or(epoch))
}

fn milliseconds(at: Timestamp) -> i64 {
    let at = time::OffsetDateTime::from(at);
    at.unix_timestamp().saturating_mul(1000)
}

/// A size as the outputs carry it.
pub(super) fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_of_the_transfer_is_not_stored() {
        assert_eq!(stored_encoding("aws-chunked"), None);
        assert_eq!(stored_encoding("gzip, aws-chunked").as_deref(), Some("gzip"));
        assert_eq!(stored_encoding("gzip").as_deref(), Some("gzip"));
    }

    #[test]
    fn encryption_is_kept_as_asked_and_keys_need_kms() {
        let kms = Some(ServerSideEncryption::from_static("aws:kms"));
        let kept = encryption(kms, Some("key".into()), None).unwrap().unwrap();
        assert_eq!((kept.algorithm.as_str(), kept.kms_key_id.as_deref()), ("aws:kms", Some("key")));
        assert!(encryption(None, Some("key".into()), None).is_err());
        assert!(encryption(Some(ServerSideEncryption::from_static("rot13")), None, None).is_err());
    }

    #[test]
    fn headers_that_mean_more_than_we_do_are_named() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-acl", http::HeaderValue::from_static("private"));
        assert!(check_supported(&headers).is_ok());
        headers.insert("x-amz-acl", http::HeaderValue::from_static("public-read"));
        assert!(check_supported(&headers).is_err());
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-object-lock-mode", http::HeaderValue::from_static("GOVERNANCE"));
        let error = check_supported(&headers).unwrap_err();
        assert_eq!(error.code().as_str(), "NotImplemented");
        assert!(error.message().unwrap().ends_with("x-amz-object-lock-mode"));
    }

    #[test]
    fn storage_classes_without_a_behaviour_are_kept_and_others_refused() {
        let class = |name: &'static str| storage_class(Some(StorageClass::from_static(name)));
        assert_eq!(class("STANDARD").unwrap(), None);
        assert_eq!(class("STANDARD_IA").unwrap().as_deref(), Some("STANDARD_IA"));
        assert_eq!(class("GLACIER").unwrap_err().code().as_str(), "NotImplemented");
        assert_eq!(class("MAGIC").unwrap_err().code().as_str(), "InvalidStorageClass");
    }
}
