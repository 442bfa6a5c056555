//! PutBucketTagging.

use async_trait::async_trait;
use s3s::dto::{PutBucketTaggingInput, PutBucketTaggingOutput};
use s3s::{S3Response, S3Result};

use super::{Call, Operation, Target, errors, tagging};
use crate::operation::Access;

pub(super) struct PutBucketTagging;

#[async_trait]
impl Operation for PutBucketTagging {
    const NAME: &'static str = "PutBucketTagging";
    type Input = PutBucketTaggingInput;
    type Output = PutBucketTaggingOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_bucket("s3:PutBucketTagging")])
    }

    async fn handle(mut call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let set = std::mem::take(&mut call.input.tagging.tag_set);
        let tags = tagging::read(set, tagging::BUCKET_TAGS_MAX)?;
        call.objects().tag_bucket(&call.input.bucket, tags).await.map_err(errors::of)?;
        Ok(S3Response::new(PutBucketTaggingOutput {}))
    }
}
