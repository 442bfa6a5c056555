//! Bodies on their way in and out.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::request::Parts;
use http::{HeaderMap, Method};
use http_body::{Body as _, Frame, SizeHint};
use kennel_platform::objects;
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3Result};
use sha2::{Digest as _, Sha256};
use tokio::time::Sleep;

use super::checksums::{Announced, Passing};
use super::errors;
use super::listing::query_names;
use crate::body::{Body, BoxError};
use crate::limits::{BODY_PAUSE_MAX, S3_DRAIN_BYTES_MAX, S3_DRAIN_MAX};

const HASH_HEADER: &str = "x-amz-content-sha256";

/// The SHA-256 of nothing.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What the error of a body says whose sender paused for too long.
pub(super) const STALLED: &str = "the request body stopped arriving";

/// A request without a body is signed over the hash of nothing, which `s3s` does not compare.
pub(super) fn check_empty(headers: &HeaderMap) -> S3Result<()> {
    let has_body = headers.get("content-length").is_some_and(|length| length != "0")
        || headers.contains_key("transfer-encoding");
    let hash = headers.get(HASH_HEADER).filter(|hash| hash.len() == EMPTY_SHA256.len());
    if !has_body && hash.is_some_and(|hash| hash != EMPTY_SHA256) {
        return Err(errors::body_hash_differs());
    }
    Ok(())
}

/// A body that ends in an error when its sender pauses for too long.
///
/// The bodies `s3s` gathers itself are compared here with all that was announced of them: of the
/// checksums `s3s` knows nothing, and another hash it calls an internal error. Streamed bodies are
/// compared by their operations.
pub(super) struct Watched {
    body: Body,
    pause: Option<Pin<Box<Sleep>>>,
    gathered: Option<Gathered>,
    remaining: u64,
    verdict: Verdict,
}

struct Gathered {
    hash: Option<(Sha256, String)>,
    announced: Passing,
}

/// What became of a watched body.
#[derive(Clone, Default)]
pub(super) struct Verdict(Arc<Seen>);

#[derive(Default)]
struct Seen {
    refusal: Mutex<Option<S3Error>>,
    whole: AtomicBool,
}

impl Verdict {
    /// Why the body is not what its request says.
    pub fn refusal(&self) -> Option<S3Error> {
        self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// It was read to its end, so that the connection can serve another request.
    pub fn was_read(&self) -> bool {
        self.0.whole.load(Ordering::Acquire)
    }

    fn ended(&self) {
        self.0.whole.store(true, Ordering::Release);
    }

    fn refuse(&self, refusal: S3Error) {
        *self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }
}

impl Watched {
    pub fn new(body: Body, parts: &Parts) -> S3Result<(Self, Verdict)> {
        let verdict = Verdict::default();
        let gathered = if is_gathered(parts) { gathered(parts)? } else { None };
        let remaining = body.size_hint().exact().unwrap_or(u64::MAX);
        if remaining == 0 {
            verdict.ended();
        }
        let watched = Self { body, pause: None, gathered, remaining, verdict: verdict.clone() };
        Ok((watched, verdict))
    }

    fn passed(&mut self, data: &Bytes) -> Result<(), BoxError> {
        self.remaining = self.remaining.saturating_sub(data.len() as u64);
        if let Some(gathered) = &mut self.gathered {
            gathered.update(data);
        }
        if self.remaining > 0 {
            return Ok(());
        }
        self.verdict.ended();
        let Some(gathered) = self.gathered.take() else { return Ok(()) };
        gathered.finish().map_err(|refusal| {
            let text = refusal.to_string();
            self.verdict.refuse(refusal);
            text.into()
        })
    }
}

impl Gathered {
    fn update(&mut self, data: &[u8]) {
        if let Some((hasher, _)) = &mut self.hash {
            hasher.update(data);
        }
        self.announced.update(data);
    }

    fn finish(self) -> S3Result<()> {
        if let Some((hasher, announced)) = self.hash
            && !announced.eq_ignore_ascii_case(&hex::encode(hasher.finalize()))
        {
            return Err(errors::body_hash_differs());
        }
        self.announced.finish().map_err(errors::of)
    }
}

fn gathered(parts: &Parts) -> S3Result<Option<Gathered>> {
    let announced = parts.headers.get(HASH_HEADER).and_then(|hash| hash.to_str().ok());
    // What passes is not the body then, but its chunks with their signatures.
    if announced.is_some_and(|hash| hash.starts_with("STREAMING-")) {
        return Ok(None);
    }
    let hash = announced.filter(|hash| hash.len() == EMPTY_SHA256.len());
    let hash = hash.map(|hash| (Sha256::new(), hash.to_owned()));
    // The checksum of a completion is that of the object, not of the list of its parts.
    let is_completion = query_names(&parts.uri).any(|name| name == "uploadId");
    let announced = if is_completion {
        Passing::default()
    } else {
        Passing::of(Announced::read(&parts.headers)?)
    };
    Ok(Some(Gathered { hash, announced }))
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Pending => {
                let pause =
                    this.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(BODY_PAUSE_MAX)));
                pause.as_mut().poll(cx).map(|()| Some(Err(STALLED.into())))
            }
            Poll::Ready(Some(Ok(frame))) => {
                this.pause = None;
                let passed = frame.data_ref().map_or(Ok(()), |data| this.passed(data));
                Poll::Ready(Some(passed.map(|()| frame)))
            }
            Poll::Ready(None) => {
                this.verdict.ended();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether `s3s` reads the whole body as XML before the operation sees it.
fn is_gathered(parts: &Parts) -> bool {
    let is_subresource =
        query_names(&parts.uri).any(|name| !matches!(name, "partNumber" | "uploadId" | "x-id"));
    let is_bucket = parts.uri.path().trim_matches('/').split('/').count() == 1;
    parts.method == Method::POST || (parts.method == Method::PUT && (is_subresource || is_bucket))
}

/// The body of an upload.
pub(super) fn incoming(body: Option<StreamingBlob>) -> objects::Body<'static> {
    match body {
        Some(body) => Box::pin(body),
        None => Box::pin(stream::empty()),
    }
}

/// Reads what is left of a body that is not wanted any more: a client that is still sending would
/// otherwise see a broken connection and not the answer. Bounded in bytes and in time.
pub(super) async fn drain(body: &mut objects::Body<'_>) {
    let reading = async {
        let mut left = S3_DRAIN_BYTES_MAX;
        while let Some(Ok(chunk)) = body.next().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    let limit: Duration = S3_DRAIN_MAX;
    if tokio::time::timeout(limit, reading).await.is_err() {
        tracing::debug!("gave up on a client that keeps sending");
    }
}

/// The bytes of a download, of known length.
pub(super) fn outgoing(chunks: objects::Body<'static>, length: u64) -> StreamingBlob {
    StreamingBlob::from(s3s::Body::http_body_unsync(Outgoing { chunks, remaining: length }))
}

struct Outgoing {
    chunks: objects::Body<'static>,
    remaining: u64,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.chunks.as_mut().poll_next(cx).map(|next| {
            let chunk = match next? {
                Ok(chunk) => chunk,
                Err(error) => {
                    tracing::error!(error = %error, "a download broke");
                    return Some(Err(error));
                }
            };
            self.remaining = self.remaining.saturating_sub(chunk.len() as u64);
            Some(Ok(Frame::data(chunk)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::body::{boxed, full};

    fn parts(method: &str, uri: &str, hash: &str) -> Parts {
        let request = Request::builder().method(method).uri(uri).header(HASH_HEADER, hash);
        request.body(()).unwrap().into_parts().0
    }

    #[tokio::test]
    async fn a_gathered_body_is_what_was_announced_or_ends_in_an_error() {
        let right = hex::encode(Sha256::digest(b"123456789"));
        let cases = [
            (right.as_str(), None, None),
            (right.as_str(), Some(("x-amz-checksum-crc32", "y/Q5Jg==")), None),
            (right.as_str(), Some(("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")), None),
            (EMPTY_SHA256, None, Some("XAmzContentSHA256Mismatch")),
            (right.as_str(), Some(("x-amz-checksum-crc32", "AAAAAA==")), Some("BadDigest")),
            ("UNSIGNED-PAYLOAD", Some(("x-amz-checksum-crc32", "AAAAAA==")), Some("BadDigest")),
            (right.as_str(), Some(("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")), Some("BadDigest")),
        ];
        for (hash, announced, refusal) in cases {
            let mut parts = parts("POST", "/b?delete", hash);
            if let Some((name, value)) = announced {
                parts.headers.insert(name, value.parse().unwrap());
            }
            let (body, verdict) = Watched::new(full("123456789"), &parts).unwrap();
            let read = body.collect().await;
            assert_eq!(read.is_ok(), refusal.is_none(), "{hash} {announced:?}");
            let told = verdict.refusal().map(|error| error.code().as_str().to_owned());
            assert_eq!(told.as_deref(), refusal, "{hash} {announced:?}");
            assert!(verdict.was_read());
        }
    }

    #[test]
    fn only_bodies_read_as_a_whole_are_hashed_here() {
        assert!(is_gathered(&parts("POST", "/b/k?uploadId=1", "")));
        assert!(is_gathered(&parts("PUT", "/b/k?tagging", "")));
        assert!(is_gathered(&parts("PUT", "/b", "")));
        assert!(!is_gathered(&parts("PUT", "/b/k", "")));
        assert!(!is_gathered(&parts("PUT", "/b/k?partNumber=1&uploadId=1", "")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_pauses_for_too_long_is_given_up() {
        let silent = stream::pending::<Result<Frame<Bytes>, BoxError>>();
        let silent = boxed(http_body_util::StreamBody::new(silent));
        let (body, verdict) = Watched::new(silent, &parts("PUT", "/b/k", "")).unwrap();
        assert_eq!(body.collect().await.unwrap_err().to_string(), STALLED);
        assert!(!verdict.was_read());
    }

    #[test]
    fn a_missing_body_must_have_been_signed_as_one() {
        let headers = |hash: &'static str| {
            HeaderMap::from_iter([(
                http::HeaderName::from_static(HASH_HEADER),
                http::HeaderValue::from_static(hash),
            )])
        };
        assert!(check_empty(&headers(EMPTY_SHA256)).is_ok());
        assert!(check_empty(&headers("UNSIGNED-PAYLOAD")).is_ok());
        let other = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225";
        assert!(check_empty(&headers(other)).is_err());
    }
}
