//! CreateBucket.

use async_trait::async_trait;
use kennel_platform::objects::{Error, Tags};
use s3s::dto::{BucketLocationConstraint, CreateBucketInput, CreateBucketOutput, ObjectOwnership};
use s3s::{S3Response, S3Result, s3_error};

use super::{Call, Operation, Target, errors};
use crate::operation::Access;

/// Where S3 was first, and its API is older than regions: no constraint is sent there, and
/// creating a bucket of one's own again succeeds.
pub(super) const FIRST_REGION: &str = "us-east-1";

/// Parts of names AWS keeps for itself.
const RESERVED_PREFIXES: [&str; 3] = ["sthree-", "amzn-s3-demo-", "xn--"];
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

pub(super) struct CreateBucket;

#[async_trait]
impl Operation for CreateBucket {
    const NAME: &'static str = "CreateBucket";
    type Input = CreateBucketInput;
    type Output = CreateBucketOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_bucket("s3:CreateBucket")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let input = &call.input;
        let name = input.bucket.as_str();
        let is_reserved = RESERVED_PREFIXES.into_iter().any(|prefix| name.starts_with(prefix))
            || RESERVED_SUFFIXES.into_iter().any(|suffix| name.ends_with(suffix));
        if is_reserved {
            return Err(s3_error!(InvalidBucketName));
        }
        check_location(&call)?;
        let ownership = input.object_ownership.as_ref().map(ObjectOwnership::as_str);
        if ownership.is_some_and(|ownership| ownership != "BucketOwnerEnforced") {
            return Err(errors::not_implemented("x-amz-object-ownership"));
        }
        match call.objects().create_bucket(name, Tags::new()).await {
            Ok(_) => {}
            Err(Error::BucketExists(_)) if call.context.region() == FIRST_REGION => {}
            Err(error) => return Err(errors::of(error)),
        }
        let location = Some(format!("/{name}"));
        Ok(S3Response::new(CreateBucketOutput { location }))
    }
}

fn check_location(call: &Call<CreateBucketInput>) -> S3Result<()> {
    let configuration = call.input.create_bucket_configuration.as_ref();
    if configuration.is_some_and(|each| each.bucket.is_some() || each.location.is_some()) {
        return Err(s3_error!(
            NotImplemented,
            "Directory buckets are not implemented: CreateBucketConfiguration"
        ));
    }
    let constraint = configuration.and_then(|each| each.location_constraint.as_ref());
    let constraint = constraint.map(BucketLocationConstraint::as_str).unwrap_or_default();
    let region = call.context.region();
    let message = match (constraint, region) {
        ("", FIRST_REGION) => return Ok(()),
        ("", _) => {
            "The unspecified location constraint is incompatible for the region specific endpoint \
             this request was sent to."
                .to_owned()
        }
        (FIRST_REGION, FIRST_REGION) => {
            return Err(s3_error!(
                InvalidLocationConstraint,
                "The specified location-constraint is not valid"
            ));
        }
        (constraint, region) if constraint == region => return Ok(()),
        (constraint, _) => format!(
            "The {constraint} location constraint is incompatible for the region specific \
             endpoint this request was sent to."
        ),
    };
    Err(errors::custom(
        "IllegalLocationConstraintException",
        http::StatusCode::BAD_REQUEST,
        message,
    ))
}
