//! Bodies of requests and responses.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};

use crate::limits;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Any body, sent or received.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// For bodies that stream.
pub fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// Why a request's body is not there as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("request body exceeds {0} bytes")]
    TooLarge(usize),
    #[error("request body stopped arriving")]
    Stalled,
    #[error("request body could not be read")]
    Broken(#[source] BoxError),
}

/// Reads the whole body, at most `bytes_max`. A body that announces more is not read at all.
pub async fn collect(body: Body, bytes_max: usize) -> Result<Bytes, Error> {
    collect_with_pauses(body, bytes_max, limits::BODY_PAUSE_MAX).await
}

async fn collect_with_pauses(
    mut body: Body,
    bytes_max: usize,
    pause_max: Duration,
) -> Result<Bytes, Error> {
    let announced = http_body::Body::size_hint(&body);
    if announced.lower() > bytes_max as u64 {
        return Err(Error::TooLarge(bytes_max));
    }
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(pause_max, body.frame()).await;
        let Some(frame) = frame.map_err(|_| Error::Stalled)? else { break };
        let Ok(data) = frame.map_err(Error::Broken)?.into_data() else { continue };
        let held = whole.len() + first.as_ref().map_or(0, Bytes::len);
        if held + data.len() > bytes_max {
            return Err(Error::TooLarge(bytes_max));
        }
        // Most bodies are one frame, which needs no copy.
        if held == 0 {
            first = Some(data);
            continue;
        }
        if let Some(first) = first.take() {
            whole.reserve(announced.exact().unwrap_or_default().min(bytes_max as u64) as usize);
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&data);
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    fn chunks(chunks: &'static [&'static str]) -> Body {
        let frames = chunks.iter().map(|chunk| {
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(chunk.as_bytes())))
        });
        boxed(StreamBody::new(stream::iter(frames)))
    }

    #[tokio::test]
    async fn a_body_is_put_together() {
        assert_eq!(collect(empty(), 0).await.unwrap(), "");
        assert_eq!(collect(full("abc"), 3).await.unwrap(), "abc");
        assert_eq!(collect(chunks(&["", "ab", "", "cd", "e"]), 5).await.unwrap(), "abcde");
    }

    #[tokio::test]
    async fn a_body_has_a_bound_announced_or_not() {
        assert!(matches!(collect(full("abcd"), 3).await, Err(Error::TooLarge(3))));
        assert!(matches!(collect(chunks(&["ab", "cd"]), 3).await, Err(Error::TooLarge(3))));
    }

    #[tokio::test]
    async fn a_body_that_stalls_is_given_up() {
        let frames = stream::pending::<Result<Frame<Bytes>, std::convert::Infallible>>();
        let stalled = boxed(StreamBody::new(frames));
        assert!(matches!(
            collect_with_pauses(stalled, 3, Duration::ZERO).await,
            Err(Error::Stalled)
        ));
    }
}
