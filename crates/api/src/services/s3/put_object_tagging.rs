//! PutObjectTagging.

use async_trait::async_trait;
use s3s::dto::{PutObjectTaggingInput, PutObjectTaggingOutput};
use s3s::{S3Response, S3Result};

use super::{Call, Operation, Target, errors, tagging};
use crate::operation::Access;

pub(super) struct PutObjectTagging;

#[async_trait]
impl Operation for PutObjectTagging {
    const NAME: &'static str = "PutObjectTagging";
    type Input = PutObjectTaggingInput;
    type Output = PutObjectTaggingOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_object("s3:PutObjectTagging")])
    }

    async fn handle(mut call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let set = std::mem::take(&mut call.input.tagging.tag_set);
        let tags = tagging::read(set, tagging::OBJECT_TAGS_MAX)?;
        let input = &call.input;
        let tagged = call.objects().tag(&input.bucket, &input.key, tags).await;
        tagged.map_err(|error| errors::hiding(&call.context, &input.bucket, error))?;
        Ok(S3Response::new(PutObjectTaggingOutput::default()))
    }
}
