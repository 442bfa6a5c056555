//! HeadBucket: whether a bucket is there, and where.

use async_trait::async_trait;
use s3s::dto::{HeadBucketInput, HeadBucketOutput};
use s3s::{S3Response, S3Result};

use super::{Call, Operation, Target, errors};
use crate::operation::Access;

pub(super) struct HeadBucket;

#[async_trait]
impl Operation for HeadBucket {
    const NAME: &'static str = "HeadBucket";
    type Input = HeadBucketInput;
    type Output = HeadBucketOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_bucket("s3:ListBucket")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        call.objects().bucket(&call.input.bucket).await.map_err(errors::of)?;
        let bucket_region = Some(call.context.region().to_owned());
        Ok(S3Response::new(HeadBucketOutput { bucket_region, ..HeadBucketOutput::default() }))
    }
}
