//! DeleteBucketTagging.

use async_trait::async_trait;
use kennel_platform::objects::Tags;
use s3s::dto::{DeleteBucketTaggingInput, DeleteBucketTaggingOutput};
use s3s::{S3Response, S3Result};

use super::{Call, Operation, Target, errors};
use crate::operation::Access;

pub(super) struct DeleteBucketTagging;

#[async_trait]
impl Operation for DeleteBucketTagging {
    const NAME: &'static str = "DeleteBucketTagging";
    type Input = DeleteBucketTaggingInput;
    type Output = DeleteBucketTaggingOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        // AWS has no action of its own for it.
        Ok(vec![target.on_bucket("s3:PutBucketTagging")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let tagged = call.objects().tag_bucket(&call.input.bucket, Tags::new());
        tagged.await.map_err(errors::of)?;
        Ok(S3Response::new(DeleteBucketTaggingOutput {}))
    }
}
