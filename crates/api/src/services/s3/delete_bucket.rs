//! DeleteBucket: deletes a bucket without objects.

use async_trait::async_trait;
use s3s::dto::{DeleteBucketInput, DeleteBucketOutput};
use s3s::{S3Response, S3Result};

use super::{Call, Operation, Target, errors};
use crate::operation::Access;

pub(super) struct DeleteBucket;

#[async_trait]
impl Operation for DeleteBucket {
    const NAME: &'static str = "DeleteBucket";
    type Input = DeleteBucketInput;
    type Output = DeleteBucketOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_bucket("s3:DeleteBucket")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        call.objects().delete_bucket(&call.input.bucket).await.map_err(errors::of)?;
        Ok(S3Response::new(DeleteBucketOutput {}))
    }
}
