//! GetBucketLocation.

use async_trait::async_trait;
use s3s::dto::{BucketLocationConstraint, GetBucketLocationInput, GetBucketLocationOutput};
use s3s::{S3Response, S3Result};

use super::create_bucket::FIRST_REGION;
use super::{Call, Operation, Target, errors};
use crate::operation::Access;

pub(super) struct GetBucketLocation;

#[async_trait]
impl Operation for GetBucketLocation {
    const NAME: &'static str = "GetBucketLocation";
    type Input = GetBucketLocationInput;
    type Output = GetBucketLocationOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_bucket("s3:GetBucketLocation")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        call.objects().bucket(&call.input.bucket).await.map_err(errors::of)?;
        let region = call.context.region();
        // The first region is the one without a name.
        let location_constraint =
            (region != FIRST_REGION).then(|| BucketLocationConstraint::from(region.to_owned()));
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }
}
