//! The seam to S3, which verifies, authorizes and answers its requests itself: it does so while
//! bodies stream, which no other service needs.

use async_trait::async_trait;
use http::{Request, Response};

use crate::body::Body;

/// Answers every request of scope `s3`, presigned and anonymous ones included.
///
/// The request's extensions hold its [`crate::request_id::RequestId`] and an
/// [`crate::audit::Entry`] to be filled; the gateway writes the line and sets the id on the answer.
#[async_trait]
pub trait S3Handler: Send + Sync + 'static {
    async fn call(&self, request: Request<Body>) -> Response<Body>;
}
