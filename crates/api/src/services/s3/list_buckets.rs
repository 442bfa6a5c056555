//! ListBuckets.

use async_trait::async_trait;
use kennel_platform::objects::After;
use s3s::dto::{Bucket, ListBucketsInput, ListBucketsOutput};
use s3s::{S3Response, S3Result};

use super::attributes::timestamp;
use super::listing::{after, token};
use super::owner::owner;
use super::{Call, Operation, Target, errors};
use crate::operation::Access;

/// AWS's largest page.
const PAGE_MAX: i32 = 10_000;

pub(super) struct ListBuckets;

#[async_trait]
impl Operation for ListBuckets {
    const NAME: &'static str = "ListBuckets";
    type Input = ListBucketsInput;
    type Output = ListBucketsOutput;

    fn authorize(_target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![Access::new("s3:ListAllMyBuckets", "arn:aws:s3:::*")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let input = &call.input;
        let asked = input.max_buckets.unwrap_or(PAGE_MAX);
        let limit = usize::try_from(asked).ok().filter(|_| (1..=PAGE_MAX).contains(&asked));
        let limit = limit.ok_or_else(|| {
            errors::invalid_argument("Argument max-buckets must be an integer between 1 and 10000")
        })?;
        let start_after = match input.continuation_token.as_deref().map(after).transpose()? {
            Some(After::Key(name)) => Some(name),
            _ => None,
        };
        let region = call.context.region();
        let mut output = ListBucketsOutput {
            buckets: Some(Vec::new()),
            owner: Some(owner(&call.context)),
            prefix: input.prefix.clone(),
            continuation_token: None,
        };
        // All buckets are in the server's region.
        if input.bucket_region.as_deref().is_some_and(|asked| asked != region) {
            return Ok(S3Response::new(output));
        }
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let page = call.objects().list_buckets(prefix, start_after.as_deref(), limit);
        let page = page.await.map_err(errors::of)?;
        if page.is_truncated {
            let last = page.buckets.last().map(|last| After::Key(last.name.clone()));
            output.continuation_token = last.as_ref().map(token);
        }
        let buckets = page.buckets.into_iter().map(|named| Bucket {
            name: Some(named.name),
            creation_date: Some(timestamp(named.bucket.created_ms)),
            bucket_region: Some(region.to_owned()),
        });
        output.buckets = Some(buckets.collect());
        Ok(S3Response::new(output))
    }
}
