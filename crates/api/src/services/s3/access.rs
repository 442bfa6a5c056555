//! Who asks, and whether they may: everything between a verified signature and the operation.
//!
//! In this order, so that a caller without rights learns nothing: the session's token and end,
//! headers nobody signed, the permissions the operation needs, the bucket's owner, and what the
//! request asks for that does not exist here.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, Uri};
use kennel_platform::Platform;
use kennel_platform::identity::Key;
use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use subtle::ConstantTimeEq as _;

use super::listing::{decoded_names, query_value};
use super::{OPERATIONS, Target, attributes, body, errors};
use crate::audit;
use crate::authorize;
use crate::context::{Caller, Context};
use crate::operation::Access;
use crate::request_id::RequestId;

/// What `s3s` takes a request for that names no subresource it knows.
const PLAIN: [&str; 10] = [
    "CreateBucket",
    "DeleteBucket",
    "DeleteObject",
    "GetObject",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListObjects",
    "ListObjectsV2",
    "PutObject",
];

/// Parameters of these operations that may be there and empty.
const EMPTY_ALLOWED: [&str; 8] = [
    "continuation-token",
    "delimiter",
    "encoding-type",
    "marker",
    "prefix",
    "start-after",
    "versionId",
    "x-id",
];

pub(super) struct Gate {
    platform: Arc<Platform>,
}

impl Gate {
    pub fn new(platform: Arc<Platform>) -> Self {
        Self { platform }
    }

    async fn key(&self, access_key_id: &str) -> S3Result<Key> {
        let key = self.platform.identity.find_key(access_key_id).await;
        let key = key.map_err(S3Error::internal_error)?;
        // Revoked since the signature was verified.
        let key = key.ok_or_else(|| s3_error!(InvalidAccessKeyId))?;
        let now_ms = self.platform.clock.now_ms();
        if key.expires_at_ms.is_some_and(|end_ms| end_ms <= now_ms) {
            let message = "The provided token has expired.";
            return Err(S3Error::with_message(S3ErrorCode::ExpiredToken, message));
        }
        Ok(key)
    }
}

#[async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = cx.credentials() else {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        };
        let access_key_id = credentials.access_key.clone();
        let key = self.key(&access_key_id).await?;
        check_token(&key, cx.headers(), cx.uri())?;
        check_signed_headers(cx.headers(), cx.uri())?;
        body::check_empty(cx.headers())?;

        let request_id = cx.extensions_mut().get::<RequestId>().cloned();
        let request_id = request_id.map(|id| id.0).unwrap_or_default();
        let caller = Caller::from_key(&access_key_id, &key);
        let context = Context::new(self.platform.clone(), caller, request_id);
        let entry = cx.extensions_mut().get::<audit::Entry>().cloned().unwrap_or_default();
        entry.caller(&context.caller);
        check_permissions(&context, cx, &entry)?;
        check_owner(&context, cx.headers())?;
        attributes::check_supported(cx.headers())?;
        check_version(cx.uri())?;
        check_subresource(cx.s3_op().name(), cx.uri())?;
        cx.extensions_mut().insert(context);
        Ok(())
    }
}

fn check_permissions(
    context: &Context,
    cx: &S3AccessContext<'_>,
    entry: &audit::Entry,
) -> S3Result<()> {
    let name = cx.s3_op().name();
    let operation = OPERATIONS.iter().find(|operation| operation.name == name);
    let needed = match operation {
        Some(operation) => {
            entry.operation("s3", operation.name);
            (operation.authorize)(&Target {
                bucket: cx.s3_path().get_bucket_name().unwrap_or_default(),
                key: cx.s3_path().get_object_key().unwrap_or_default(),
                headers: cx.headers(),
            })?
        }
        // What is not implemented is told to those who may do everything.
        None => vec![Access::new("s3:*", "*")],
    };
    entry.access(&needed);
    authorize::check(context, &needed).map_err(|denied| {
        entry.denied();
        errors::denied(&denied)
    })
}

fn check_owner(context: &Context, headers: &HeaderMap) -> S3Result<()> {
    for name in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
        if headers.get(name).is_some_and(|owner| owner.as_bytes() != context.account().as_bytes()) {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
    }
    Ok(())
}

/// Versioning was never enabled, so that the only version of anything is `null`.
fn check_version(uri: &Uri) -> S3Result<()> {
    match query_value(uri, "versionId") {
        None => Ok(()),
        Some(version) if version == "null" || version.is_empty() => Ok(()),
        Some(_) => Err(s3_error!(InvalidArgument, "Invalid version id specified")),
    }
}

/// A query name without a value asks for something other than the object or the bucket itself. One
/// that `s3s` does not know it would take for nothing: `PUT /b/k?renameObject` for a PutObject.
fn check_subresource(operation: &str, uri: &Uri) -> S3Result<()> {
    if !PLAIN.contains(&operation) {
        return Ok(());
    }
    let bare = uri.query().unwrap_or_default().split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (value.is_empty() && !name.is_empty()).then_some(name)
    });
    match bare.into_iter().find(|name| !EMPTY_ALLOWED.contains(name)) {
        None => Ok(()),
        Some(name) => Err(s3_error!(
            NotImplemented,
            "A parameter you provided implies functionality that is not implemented: {name}"
        )),
    }
}

/// The token a session's requests must carry; `s3s` does not look at it.
fn check_token(key: &Key, headers: &HeaderMap, uri: &Uri) -> S3Result<()> {
    let in_header = headers.get("x-amz-security-token").and_then(|value| value.to_str().ok());
    let in_query = query_value(uri, "X-Amz-Security-Token");
    let given = in_header.or(in_query.as_deref());
    let is_right = match (&key.session_token, given) {
        (None, None) => true,
        (Some(expected), Some(given)) => bool::from(expected.as_bytes().ct_eq(given.as_bytes())),
        (Some(_), None) | (None, Some(_)) => false,
    };
    if is_right {
        return Ok(());
    }
    let message = "The provided token is malformed or otherwise invalid.";
    Err(S3Error::with_message(S3ErrorCode::InvalidToken, message))
}

/// A signature speaks for the headers it covers. Somebody who was handed a presigned URL must not
/// be able to turn it into something else by adding an `x-amz-` header.
///
/// Only the list that was verified counts: a signature in the query is verified before any header,
/// and the two together are refused before.
fn check_signed_headers(headers: &HeaderMap, uri: &Uri) -> S3Result<()> {
    let signed = if decoded_names(uri).any(|name| name == "X-Amz-Signature") {
        query_value(uri, "X-Amz-SignedHeaders").unwrap_or_default()
    } else if let Some(authorization) = headers.get("authorization") {
        let authorization = authorization.to_str().unwrap_or_default();
        // The last list: `s3s` takes anything for the algorithm, which comes first.
        let mut parts = authorization.rsplit(',');
        let listed = parts.find_map(|part| part.trim().strip_prefix("SignedHeaders="));
        listed.unwrap_or_default().to_owned()
    } else {
        // SigV2 in the query covers every x-amz- header there is.
        return Ok(());
    };
    // The hash is compared with the body whoever sent it.
    let unsigned = headers.keys().map(http::HeaderName::as_str).find(|name| {
        name.starts_with("x-amz-")
            && *name != "x-amz-content-sha256"
            && !signed.split(';').any(|signed| signed.eq_ignore_ascii_case(name))
    });
    match unsigned {
        None => Ok(()),
        Some(name) => Err(s3_error!(
            AccessDenied,
            "There were headers present in the request which were not signed: {name}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use kennel_platform::identity::Principal;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            })
            .collect()
    }

    fn key(session_token: Option<&str>) -> Key {
        Key {
            secret: "secret".into(),
            session_token: session_token.map(str::to_owned),
            expires_at_ms: None,
            principal: Principal::Root,
        }
    }

    #[test]
    fn a_session_needs_its_token_and_the_root_key_has_none() {
        let plain = Uri::from_static("/b/k");
        let presigned = Uri::from_static("/b/k?X-Amz-Security-Token=a%2Bb");
        let with = headers(&[("x-amz-security-token", "a+b")]);
        let none = HeaderMap::new();
        assert!(check_token(&key(None), &none, &plain).is_ok());
        assert!(check_token(&key(None), &with, &plain).is_err());
        assert!(check_token(&key(Some("a+b")), &with, &plain).is_ok());
        assert!(check_token(&key(Some("a+b")), &none, &presigned).is_ok());
        assert!(check_token(&key(Some("a+b")), &none, &plain).is_err());
        assert!(check_token(&key(Some("other")), &with, &plain).is_err());
    }

    #[test]
    fn headers_added_to_a_presigned_url_are_refused() {
        let url =
            Uri::from_static("/b/k?X-Amz-SignedHeaders=host%3Bx-amz-tagging&X-Amz-Signature=s");
        assert!(check_signed_headers(&headers(&[("x-amz-tagging", "a=b")]), &url).is_ok());
        assert!(check_signed_headers(&headers(&[("range", "bytes=0-1")]), &url).is_ok());
        let added = headers(&[("x-amz-copy-source", "other/secret")]);
        assert!(check_signed_headers(&added, &url).is_err());
    }

    #[test]
    fn only_the_list_that_was_verified_says_which_headers_are_signed() {
        let check = |authorization: &'static str, uri| {
            let mut headers = headers(&[("x-amz-copy-source", "other/secret")]);
            if !authorization.is_empty() {
                headers.insert("authorization", http::HeaderValue::from_static(authorization));
            }
            check_signed_headers(&headers, &Uri::from_static(uri))
        };
        let presigned = "/b/k?X-Amz-SignedHeaders=host&X-Amz-Signature=s";
        assert!(check("x, SignedHeaders=x-amz-copy-source", presigned).is_err());
        assert!(check("", "/b/k?X-Amz-Signed%48eaders=host&X-Amz-Signatur%65=s").is_err());
        assert!(check("", "/b/k?X-Amz-Signature=s").is_err());
        let signed = "a Credential=A, SignedHeaders=host;x-amz-copy-source, Signature=s";
        assert!(check(signed, "/b/k").is_ok());
        let claimed =
            "a,SignedHeaders=x-amz-copy-source;x Credential=A, SignedHeaders=host, Signature=s";
        assert!(check(claimed, "/b/k").is_err());
        assert!(check("a Credential=A, Signature=s", "/b/k").is_err());
        assert!(check("", "/b/k?AWSAccessKeyId=A&Expires=1&Signature=s").is_ok());
    }

    #[test]
    fn a_subresource_nobody_knows_is_refused_by_name() {
        let refusal = |operation, uri| check_subresource(operation, &Uri::from_static(uri)).err();
        let renamed = refusal("PutObject", "/b/k?renameObject").unwrap();
        assert_eq!(renamed.code().as_str(), "NotImplemented");
        assert!(renamed.message().unwrap().ends_with("renameObject"));
        assert!(refusal("ListObjects", "/b?abac=").is_some());
        assert!(refusal("ListObjectsV2", "/b?list-type=2&prefix=&delimiter=/").is_none());
        assert!(refusal("PutObject", "/b/k?x-id=PutObject").is_none());
        assert!(refusal("CreateMultipartUpload", "/b/k?uploads").is_none());
    }

    #[test]
    fn only_the_null_version_exists() {
        assert!(check_version(&Uri::from_static("/b/k?versionId=null")).is_ok());
        assert!(check_version(&Uri::from_static("/b/k?versionId=abc")).is_err());
    }
}
