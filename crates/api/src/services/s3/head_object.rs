//! HeadObject: everything GetObject says of an object but its bytes.

use async_trait::async_trait;
use http::StatusCode;
use s3s::dto::{HeadObjectInput, HeadObjectOutput, StorageClass};
use s3s::{S3Response, S3Result};

use super::attributes::{describe, length};
use super::checksums::{set_checksum, set_object_checksum};
use super::conditions::Reading;
use super::selection::{Selection, describe_selection, select};
use super::{Call, Operation, Target, errors};
use crate::operation::Access;

pub(super) struct HeadObject;

#[async_trait]
impl Operation for HeadObject {
    const NAME: &'static str = "HeadObject";
    type Input = HeadObjectInput;
    type Output = HeadObjectOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_object("s3:GetObject")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let input = &call.input;
        let opened = call.objects().open(&input.bucket, &input.key).await;
        let download =
            opened.map_err(|error| errors::hiding(&call.context, &input.bucket, error))?;
        let reading = Reading {
            if_match: input.if_match.clone(),
            if_none_match: input.if_none_match.clone(),
            if_modified_since: input.if_modified_since.clone(),
            if_unmodified_since: input.if_unmodified_since.clone(),
        };
        reading.check(&download.meta)?;
        let selection = select(&download, input.range, input.part_number)?;

        let meta = &download.meta;
        let mut output = HeadObjectOutput::default();
        describe!(output, meta);
        describe_selection!(output, meta, selection, input.checksum_mode.is_some());
        let is_partial = output.content_range.is_some();
        let mut response = S3Response::new(output);
        response.status = is_partial.then_some(StatusCode::PARTIAL_CONTENT);
        Ok(response)
    }
}
