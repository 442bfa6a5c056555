//! DeleteObject.

use async_trait::async_trait;
use s3s::dto::{DeleteObjectInput, DeleteObjectOutput};
use s3s::{S3Response, S3Result};

use super::{Call, Operation, Target, conditions, errors};
use crate::operation::Access;

pub(super) struct DeleteObject;

#[async_trait]
impl Operation for DeleteObject {
    const NAME: &'static str = "DeleteObject";
    type Input = DeleteObjectInput;
    type Output = DeleteObjectOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_object("s3:DeleteObject")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let input = &call.input;
        let condition = conditions::writing(input.if_match.as_ref(), None)?;
        let deleted = call.objects().delete(&input.bucket, &input.key, &condition);
        deleted.await.map_err(errors::of)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }
}
