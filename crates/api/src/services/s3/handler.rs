//! The way into S3: refuses what `s3s` would take and should not, and watches over bodies.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use kennel_platform::Platform;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Error, s3_error};
use tracing::dispatcher;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use super::access::Gate;
use super::auth::Keys;
use super::body::Watched;
use super::errors;
use super::host::Hosts;
use super::listing::decoded_names;
use super::reply::{self, Asked};
use super::{Log, Service};
use crate::body::Body;
use crate::limits::{S3_FORM_BYTES_MAX, S3_XML_BYTES_MAX};
use crate::s3_route::S3Handler;

/// Query parameters that say that the query carries the signature.
const QUERY_SIGNED: [&str; 3] = ["AWSAccessKeyId", "Signature", "X-Amz-Signature"];

/// Answers everything signed for S3, presigned, or not signed at all.
pub struct Handler {
    service: S3Service,
}

pub fn handler(platform: Arc<Platform>) -> Handler {
    let mut config = S3Config::default();
    config.xml_max_body_size = S3_XML_BYTES_MAX;
    config.post_object_max_file_size = S3_FORM_BYTES_MAX;
    let mut builder = S3ServiceBuilder::new(Service);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_host(Hosts);
    builder.set_auth(Keys::new(platform.clone()));
    builder.set_access(Gate::new(platform));
    Handler { service: builder.build() }
}

#[async_trait]
impl S3Handler for Handler {
    async fn call(&self, request: Request<Body>) -> Response<Body> {
        let asked = Asked::of(&request);
        if let Err(refusal) = refuse(&request) {
            return reply::refused(refusal, &asked);
        }
        let (mut parts, body) = request.into_parts();
        move_sigv2_token(&mut parts);
        let (body, verdict) = match Watched::new(body, &parts) {
            Ok(watched) => watched,
            Err(refusal) => return reply::refused(refusal, &asked),
        };
        // `s3s` logs whole requests, with their tokens and signatures, and every mistake of a client
        // as an error: it is not heard. Operations log where the request came from.
        parts.extensions.insert(Log(dispatcher::get_default(Clone::clone)));
        let request = Request::from_parts(parts, s3s::Body::http_body_unsync(body));
        let silence = NoSubscriber::default();
        let response = self.service.call(request).with_subscriber(silence).await;
        let mut response = match (verdict.refusal(), response) {
            (Some(refusal), _) => reply::refused(refusal, &asked),
            (None, Ok(response)) => reply::completed(response, &asked).await,
            (None, Err(error)) => reply::broken(error, &asked),
        };
        if !verdict.was_read() {
            // The rest of the body, sent or not, must not be taken for a request, and the client
            // must not send its next one here.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// SigV2 in a header carries no date that `s3s` checks, and forms would be gathered in memory
/// before anybody was authorized.
fn refuse<B>(request: &Request<B>) -> Result<(), S3Error> {
    if decoded_names(request.uri()).any(|name| QUERY_SIGNED.contains(&name.as_str())) {
        refuse_presigned(request)?;
    }
    let header = |name| request.headers().get(name).map(HeaderValue::as_bytes);
    if header(AUTHORIZATION).is_some_and(|value| value.starts_with(b"AWS ")) {
        return Err(s3_error!(
            InvalidRequest,
            "The authorization mechanism you have provided is not supported. Please use \
             AWS4-HMAC-SHA256."
        ));
    }
    let form = b"multipart/form-data";
    if request.method() == Method::POST
        && header(CONTENT_TYPE)
            .and_then(|value| value.get(..form.len()))
            .is_some_and(|value| value.eq_ignore_ascii_case(form))
    {
        return Err(s3_error!(NotImplemented, "PostObject is not implemented yet"));
    }
    Ok(())
}

/// Whoever was handed a presigned URL must not be able to turn it into something else. Beside a
/// second authorization it is open which of the two speaks for the request; and a name that comes
/// twice is left out of what SigV2 signs, while `s3s` still looks for the operation by it.
fn refuse_presigned<B>(request: &Request<B>) -> Result<(), S3Error> {
    if request.headers().contains_key(AUTHORIZATION) {
        return Err(errors::invalid_argument(
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
             query string parameter or the Authorization header should be specified",
        ));
    }
    let mut seen = HashSet::new();
    match decoded_names(request.uri()).find(|name| !seen.insert(name.clone())) {
        None => Ok(()),
        Some(name) => Err(errors::invalid_argument(format!(
            "A presigned request must not contain the query parameter {name} more than once"
        ))),
    }
}

/// A SigV2 presigned URL of a session has its token in the query, but was signed as though it
/// were a header; `s3s` looks at headers alone.
fn move_sigv2_token(parts: &mut http::request::Parts) {
    const NAME: &str = "x-amz-security-token";
    let query = parts.uri.query().unwrap_or_default();
    if !query.split('&').any(|pair| pair.starts_with("AWSAccessKeyId=")) {
        return;
    }
    let token = query.split('&').find_map(|pair| pair.strip_prefix(NAME)?.strip_prefix('='));
    let token = token.and_then(super::listing::decoded);
    let value = token.and_then(|token| HeaderValue::try_from(token).ok());
    if let Some(value) = value
        && !parts.headers.contains_key(NAME)
    {
        parts.headers.insert(NAME, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn sigv2_headers_and_forms_are_refused_before_anything_is_read() {
        let sigv2 = request("GET", "/b/k", &[("authorization", "AWS AKIDEXAMPLE:c2ln")]);
        assert_eq!(refuse(&sigv2).unwrap_err().code().as_str(), "InvalidRequest");
        let form = [("content-type", "Multipart/Form-Data; boundary=x")];
        let form = request("POST", "/b", &form);
        assert_eq!(refuse(&form).unwrap_err().code().as_str(), "NotImplemented");
        let sigv4 = [("authorization", "AWS4-HMAC-SHA256 Credential=...")];
        assert!(refuse(&request("POST", "/b?delete", &sigv4)).is_ok());
    }

    #[test]
    fn a_presigned_request_has_one_authorization_and_each_name_once() {
        let header = [("authorization", "x, SignedHeaders=x-amz-copy-source")];
        let v2 = "AWSAccessKeyId=A&Expires=1&Signature=s";
        let v4 = "X-Amz-SignedHeaders=host&X-Amz-Signature=s";
        for query in [v2, v4, "X-Amz-Signatur%65=s", "%53ignature=s", "AWSAccessKeyId=A"] {
            let plain = format!("/b/k?{query}&x-id=PutObject");
            assert!(refuse(&request("PUT", &plain, &[])).is_ok(), "{query}");
            let both = refuse(&request("PUT", &plain, &header)).unwrap_err();
            assert_eq!(both.code().as_str(), "InvalidArgument", "{query}");
            assert!(both.message().unwrap().starts_with("Only one auth mechanism allowed; only"));
            for twice in ["tagging&tagging", "tagging=&%74agging=a"] {
                let twice = request("PUT", &format!("/b/k?{twice}&{query}"), &[]);
                let twice = refuse(&twice).unwrap_err();
                assert_eq!(twice.code().as_str(), "InvalidArgument", "{query}");
                assert!(twice.message().unwrap().contains("tagging"));
            }
        }
        assert!(refuse(&request("PUT", "/b/k?tagging&tagging", &header)).is_ok());
    }

    #[test]
    fn the_token_of_a_sigv2_url_becomes_a_header() {
        let uri = "/b/k?AWSAccessKeyId=A&Signature=s&Expires=1&x-amz-security-token=a%2Bb%3D";
        let (mut parts, ()) = request("GET", uri, &[]).into_parts();
        move_sigv2_token(&mut parts);
        assert_eq!(parts.headers["x-amz-security-token"], "a+b=");
        let (mut parts, ()) = request("GET", "/b/k?x-amz-security-token=t", &[]).into_parts();
        move_sigv2_token(&mut parts);
        assert!(parts.headers.is_empty());
    }
}
