//! ListObjectsV2, page by page.

use http::Method;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::{S3, bucket_path, call, encode_segment};
use crate::apis::read_xml;
use crate::error::Error;

const OPERATION: &str = "ListObjectsV2";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub key: String,
    pub size: u64,
    pub etag: String,
}

/// Gives the keys below a prefix in byte order.
pub struct Lister {
    s3: S3,
    bucket: String,
    prefix: String,
    next: Next,
}

enum Next {
    First,
    Token(String),
    Done,
}

impl S3 {
    pub fn list(&self, bucket: &str, prefix: &str) -> Lister {
        Lister {
            s3: self.clone(),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            next: Next::First,
        }
    }
}

impl Lister {
    /// The next page (which may be empty); `None` after the last.
    pub async fn page(&mut self) -> Result<Option<Vec<Object>>, Error> {
        let mut path = format!(
            "{}?list-type=2&encoding-type=url&prefix={}",
            bucket_path(&self.bucket),
            encode_segment(&self.prefix)
        );
        match &self.next {
            Next::First => {}
            Next::Token(token) => {
                path.push_str("&continuation-token=");
                path.push_str(&encode_segment(token));
            }
            Next::Done => return Ok(None),
        }
        let (_headers, body) = self.s3.client.fetch(&call(OPERATION, Method::GET, path)).await?;
        let page: Page = read_xml(OPERATION, &body)?;
        self.next = match page.next_continuation_token {
            Some(token) if page.is_truncated => Next::Token(token),
            _ => Next::Done,
        };
        let objects = page.contents.into_iter().map(|entry| {
            Ok(Object { key: decode_key(&entry.key)?, size: entry.size, etag: entry.e_tag })
        });
        Ok(Some(objects.collect::<Result<_, Error>>()?))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    is_truncated: bool,
    next_continuation_token: Option<String>,
    #[serde(default)]
    contents: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    key: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    e_tag: String,
}

/// Keys are URL-encoded in the answer, because XML cannot hold every character; a space is `+`.
fn decode_key(key: &str) -> Result<String, Error> {
    let spaced = key.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|source| Error::Decode {
        operation: OPERATION.to_owned(),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read() {
        let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\
            <IsTruncated>true</IsTruncated><NextContinuationToken>t/1</NextContinuationToken>\
            <Contents><Key>a%2Bb+c%0A</Key><Size>3</Size><ETag>&quot;x&quot;</ETag></Contents>\
            <KeyCount>2</KeyCount>\
            <Contents><Key>z</Key><Size>0</Size><ETag>\"y\"</ETag></Contents></ListBucketResult>";
        let page: Page =
            quick_xml::de::from_str(&xml.replace("<KeyCount>2</KeyCount>", "")).unwrap();
        assert!(page.is_truncated);
        assert_eq!(page.next_continuation_token.as_deref(), Some("t/1"));
        let keys: Vec<_> = page.contents.iter().map(|e| decode_key(&e.key).unwrap()).collect();
        assert_eq!(keys, ["a+b c\n", "z"]);
        assert_eq!(page.contents[0].e_tag, "\"x\"");
        let empty: Page =
            quick_xml::de::from_str("<ListBucketResult><Name>b</Name></ListBucketResult>").unwrap();
        assert!(empty.contents.is_empty() && !empty.is_truncated);
    }
}
