//! Objects: put, get, head, list, delete; large ones in parallel parts and ranges.
//!
//! Files are opened by the caller. A part in flight is held in memory, so that it can be hashed
//! and sent again: what an upload holds is bounded by part size times parallel parts.

mod download;
mod list;
mod upload;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::Error;
use crate::transport::{Call, Client};

pub use download::Download;
pub use list::{Lister, Object};
pub use upload::Upload;

/// Called with the number of bytes that were moved since the last call.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// RFC 3986's unreserved characters stay, as the signature's canonical form wants it.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &SEGMENT.remove(b'/');

const SERVICE: &str = "s3";

/// How an object is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Put {
    pub content_type: Option<String>,
    /// Sent as `x-amz-server-side-encryption: aws:kms` with this key id.
    pub kms_key_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub etag: String,
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub size: u64,
    pub etag: String,
    pub content_type: Option<String>,
}

/// The object operations of a [`Client`].
#[derive(Clone)]
pub struct S3 {
    client: Client,
}

impl S3 {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// A bucket that is ours already is no error.
    pub async fn create_bucket(&self, bucket: &str) -> Result<(), Error> {
        let region = self.client.region();
        let body = if region == "us-east-1" {
            String::new()
        } else {
            format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            )
        };
        let mut call = call("CreateBucket", Method::PUT, bucket_path(bucket));
        call.body = body.into();
        match self.client.fetch(&call).await {
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            other => other.map(drop),
        }
    }

    pub async fn head_bucket(&self, bucket: &str) -> Result<(), Error> {
        let call = call("HeadBucket", Method::HEAD, bucket_path(bucket));
        self.client.fetch(&call).await.map(drop)
    }

    /// Stores `body` in one request.
    pub async fn put_bytes(
        &self,
        bucket: &str,
        key: &str,
        body: Bytes,
        put: &Put,
    ) -> Result<Stored, Error> {
        let size = length(&body);
        let mut call = call("PutObject", Method::PUT, object_path(bucket, key));
        call.headers = put_headers(put);
        call.body = body;
        let (headers, _body) = self.client.fetch(&call).await?;
        Ok(Stored { etag: etag(&headers), size })
    }

    pub async fn head(&self, bucket: &str, key: &str) -> Result<Head, Error> {
        let call = call("HeadObject", Method::HEAD, object_path(bucket, key));
        let answer = self.client.send(&call).await?;
        head_of(&answer.headers, "HeadObject")
    }

    /// Idempotent, as S3 is: an absent key is no error.
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<(), Error> {
        let call = call("DeleteObject", Method::DELETE, object_path(bucket, key));
        self.client.fetch(&call).await.map(drop)
    }
}

/// One path segment, percent-encoded.
pub(crate) fn encode_segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

fn bucket_path(bucket: &str) -> String {
    format!("/{}", encode_segment(bucket))
}

/// Keys go out as they are: `//`, `.` and `..` mean nothing to S3.
fn object_path(bucket: &str, key: &str) -> String {
    format!("/{}/{}", encode_segment(bucket), utf8_percent_encode(key, PATH))
}

fn call(operation: &str, method: Method, path: String) -> Call {
    Call {
        operation: operation.to_owned(),
        service: Some(SERVICE),
        method,
        path,
        headers: Vec::new(),
        body: Bytes::new(),
        repeatable: true,
    }
}

fn put_headers(put: &Put) -> Vec<(HeaderName, String)> {
    let mut headers = Vec::new();
    if let Some(content_type) = &put.content_type {
        headers.push((http::header::CONTENT_TYPE, content_type.clone()));
    }
    if let Some(key_id) = &put.kms_key_id {
        let name = HeaderName::from_static("x-amz-server-side-encryption");
        headers.push((name, "aws:kms".to_owned()));
        let name = HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id");
        headers.push((name, key_id.clone()));
    }
    headers
}

fn head_of(headers: &HeaderMap, operation: &str) -> Result<Head, Error> {
    let header = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let size = header(http::header::CONTENT_LENGTH).and_then(|size| size.parse().ok());
    Ok(Head {
        size: size.ok_or_else(|| Error::Decode {
            operation: operation.to_owned(),
            source: "no Content-Length".into(),
        })?,
        etag: etag(headers),
        content_type: header(http::header::CONTENT_TYPE),
    })
}

fn etag(headers: &HeaderMap) -> String {
    let value = headers.get(http::header::ETAG).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Blocking file work, off the tasks that move bytes.
async fn on_file<T: Send + 'static>(
    operation: &str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)))
        .map_err(|source| Error::File { operation: operation.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sent_as_they_are() {
        let cases = [
            ("a b+c", "/bkt/a%20b%2Bc"),
            ("/leading//double/", "/bkt//leading//double/"),
            ("../up/./x", "/bkt/../up/./x"),
            ("ä?#%", "/bkt/%C3%A4%3F%23%25"),
        ];
        for (key, path) in cases {
            assert_eq!(object_path("bkt", key), path);
        }
    }
}
