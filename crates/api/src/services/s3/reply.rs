//! The last touch on an answer: an error's sentence, resource and request id, and no body where
//! HTTP has none.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use s3s::{HttpError, HttpResponse, S3Error, s3_error};

use crate::audit;
use crate::body::{self, Body};
use crate::limits::S3_ERROR_BYTES_MAX;
use crate::request_id::RequestId;

/// What of a request its answer repeats.
pub(super) struct Asked {
    path: String,
    request_id: String,
    entry: audit::Entry,
}

impl Asked {
    pub fn of<B>(request: &Request<B>) -> Self {
        let extensions = request.extensions();
        Self {
            path: request.uri().path().to_owned(),
            request_id: extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
            entry: extensions.get::<audit::Entry>().cloned().unwrap_or_default(),
        }
    }
}

/// An answer of `s3s`. Errors are short and gathered; everything else streams on.
pub(super) async fn completed(response: HttpResponse, asked: &Asked) -> Response<Body> {
    let (mut parts, stream) = response.into_parts();
    if parts.status == StatusCode::NOT_MODIFIED {
        for name in [CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING] {
            parts.headers.remove(name);
        }
        return Response::from_parts(parts, body::empty());
    }
    if !parts.status.is_client_error() && !parts.status.is_server_error() {
        return Response::from_parts(parts, body::boxed(stream));
    }
    let gathered = Limited::new(stream, S3_ERROR_BYTES_MAX).collect().await;
    let gathered = gathered.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (code, document) = explained(&String::from_utf8_lossy(&gathered), asked);
    asked.entry.code(&code);
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, body::full(Bytes::from(document)))
}

/// An answer that needs nothing of `s3s` but its encoding.
pub(super) fn refused(error: S3Error, asked: &Asked) -> Response<Body> {
    let code = error.code().as_str().to_owned();
    let status = error.status_code().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = error.message().or_else(|| sentence(&code)).unwrap_or(&code).to_owned();
    let document = document(&code, &message, asked);
    asked.entry.code(&code);
    let mut response = Response::new(body::full(Bytes::from(document)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/xml"));
    response
}

pub(super) fn broken(error: HttpError, asked: &Asked) -> Response<Body> {
    let error: Box<dyn std::error::Error + Send + Sync> = error.into();
    tracing::error!(error = %error, "s3 could not answer");
    refused(s3_error!(InternalError), asked)
}

/// The code of an error document, and the document with what `s3s` leaves out.
fn explained(document: &str, asked: &Asked) -> (String, String) {
    let code = element(document, "Code").unwrap_or("InternalError").to_owned();
    let message = element(document, "Message").map(unescaped);
    let message = message.or_else(|| sentence(&code).map(str::to_owned));
    let message = message.unwrap_or_else(|| code.clone());
    let document = self::document(&code, &message, asked);
    (code, document)
}

fn document(code: &str, message: &str, asked: &Asked) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>\
         <Resource>{}</Resource><RequestId>{}</RequestId></Error>",
        escaped(code),
        escaped(message),
        escaped(&asked.path),
        escaped(&asked.request_id),
    )
}

fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

/// AWS's sentence for codes that `s3s` raises without one.
fn sentence(code: &str) -> Option<&'static str> {
    Some(match code {
        "AccessDenied" => "Access Denied",
        "InternalError" => "We encountered an internal error. Please try again.",
        "InvalidAccessKeyId" => "The AWS Access Key Id you provided does not exist in our records.",
        "InvalidBucketName" => "The specified bucket is not valid.",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "KeyTooLongError" => "Your key is too long",
        "MalformedXML" => {
            "The XML you provided was not well-formed or did not validate against our published \
             schema"
        }
        "MaxMessageLengthExceeded" => "Your request was too big.",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "IncompleteBody" => {
            "You did not provide the number of bytes specified by the Content-Length HTTP header"
        }
        "RequestTimeTooSkewed" => {
            "The difference between the request time and the current time is too large."
        }
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check \
             your key and signing method."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_a_sentence_gets_awss_and_names_what_was_asked() {
        let asked = Asked {
            path: "/b/a&b".into(),
            request_id: "id-1".into(),
            entry: audit::Entry::default(),
        };
        let bare = "<?xml?><Error><Code>SignatureDoesNotMatch</Code></Error>";
        let (code, document) = explained(bare, &asked);
        assert_eq!(code, "SignatureDoesNotMatch");
        assert!(document.contains("<Message>The request signature we calculated"));
        assert!(document.contains("<Resource>/b/a&amp;b</Resource><RequestId>id-1</RequestId>"));
        let own = "<Error><Code>X</Code><Message>a &lt; b &amp; c</Message></Error>";
        assert!(explained(own, &asked).1.contains("<Message>a &lt; b &amp; c</Message>"));
    }
}
