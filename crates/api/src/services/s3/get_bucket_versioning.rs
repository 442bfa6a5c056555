//! GetBucketVersioning: it was never enabled, which AWS says with an empty answer.

use async_trait::async_trait;
use s3s::dto::{GetBucketVersioningInput, GetBucketVersioningOutput};
use s3s::{S3Response, S3Result};

use super::{Call, Operation, Target, errors};
use crate::operation::Access;

pub(super) struct GetBucketVersioning;

#[async_trait]
impl Operation for GetBucketVersioning {
    const NAME: &'static str = "GetBucketVersioning";
    type Input = GetBucketVersioningInput;
    type Output = GetBucketVersioningOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_bucket("s3:GetBucketVersioning")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        call.objects().bucket(&call.input.bucket).await.map_err(errors::of)?;
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }
}
