//! GetObjectTagging.

use async_trait::async_trait;
use s3s::dto::{GetObjectTaggingInput, GetObjectTaggingOutput};
use s3s::{S3Response, S3Result};

use super::{Call, Operation, Target, errors, tagging};
use crate::operation::Access;

pub(super) struct GetObjectTagging;

#[async_trait]
impl Operation for GetObjectTagging {
    const NAME: &'static str = "GetObjectTagging";
    type Input = GetObjectTaggingInput;
    type Output = GetObjectTaggingOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_object("s3:GetObjectTagging")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let input = &call.input;
        let found = call.objects().head(&input.bucket, &input.key).await;
        let meta = found.map_err(|error| errors::hiding(&call.context, &input.bucket, error))?;
        let tag_set = tagging::write(meta.tags);
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id: None }))
    }
}
