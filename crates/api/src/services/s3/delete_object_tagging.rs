//! DeleteObjectTagging.

use async_trait::async_trait;
use kennel_platform::objects::Tags;
use s3s::dto::{DeleteObjectTaggingInput, DeleteObjectTaggingOutput};
use s3s::{S3Response, S3Result};

use super::{Call, Operation, Target, errors};
use crate::operation::Access;

pub(super) struct DeleteObjectTagging;

#[async_trait]
impl Operation for DeleteObjectTagging {
    const NAME: &'static str = "DeleteObjectTagging";
    type Input = DeleteObjectTaggingInput;
    type Output = DeleteObjectTaggingOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_object("s3:DeleteObjectTagging")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let input = &call.input;
        let tagged = call.objects().tag(&input.bucket, &input.key, Tags::new()).await;
        tagged.map_err(|error| errors::hiding(&call.context, &input.bucket, error))?;
        Ok(S3Response::new(DeleteObjectTaggingOutput::default()))
    }
}
