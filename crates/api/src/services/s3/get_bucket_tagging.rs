//! GetBucketTagging.

use async_trait::async_trait;
use s3s::dto::{GetBucketTaggingInput, GetBucketTaggingOutput};
use s3s::{S3Response, S3Result};

use super::{Call, Operation, Target, errors, tagging};
use crate::operation::Access;

pub(super) struct GetBucketTagging;

#[async_trait]
impl Operation for GetBucketTagging {
    const NAME: &'static str = "GetBucketTagging";
    type Input = GetBucketTaggingInput;
    type Output = GetBucketTaggingOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_bucket("s3:GetBucketTagging")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let bucket = call.objects().bucket(&call.input.bucket).await.map_err(errors::of)?;
        if bucket.tags.is_empty() {
            let message = "The TagSet does not exist";
            return Err(errors::custom("NoSuchTagSet", http::StatusCode::NOT_FOUND, message));
        }
        Ok(S3Response::new(GetBucketTaggingOutput { tag_set: tagging::write(bucket.tags) }))
    }
}
