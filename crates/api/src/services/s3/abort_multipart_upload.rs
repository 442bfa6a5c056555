//! AbortMultipartUpload: forgets an upload and its parts.

use async_trait::async_trait;
use s3s::dto::{AbortMultipartUploadInput, AbortMultipartUploadOutput};
use s3s::{S3Response, S3Result};

use super::{Call, Operation, Target, errors};
use crate::operation::Access;

pub(super) struct AbortMultipartUpload;

#[async_trait]
impl Operation for AbortMultipartUpload {
    const NAME: &'static str = "AbortMultipartUpload";
    type Input = AbortMultipartUploadInput;
    type Output = AbortMultipartUploadOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_object("s3:AbortMultipartUpload")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let input = &call.input;
        let aborted = call.objects().abort_upload(&input.bucket, &input.key, &input.upload_id);
        aborted.await.map_err(errors::of)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
