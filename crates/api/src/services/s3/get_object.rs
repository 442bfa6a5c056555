//! GetObject: an object's bytes, whole, a range, or a part.

use async_trait::async_trait;
use s3s::dto::{GetObjectInput, GetObjectOutput, StorageClass};
use s3s::{S3Response, S3Result};

use super::attributes::{describe, length};
use super::checksums::{set_checksum, set_object_checksum};
use super::conditions::Reading;
use super::selection::{Selection, describe_selection, select};
use super::{Call, Operation, Target, body, errors};
use crate::operation::Access;

pub(super) struct GetObject;

#[async_trait]
impl Operation for GetObject {
    const NAME: &'static str = "GetObject";
    type Input = GetObjectInput;
    type Output = GetObjectOutput;

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
        let mut output = GetObjectOutput::default();
        describe!(output, meta);
        describe_selection!(output, meta, selection, input.checksum_mode.is_some());
        output.tag_count = i32::try_from(meta.tags.len()).ok().filter(|count| *count > 0);
        let range = selection.range();
        let size = selection.length();
        let chunks = download.read(range).await.map_err(errors::of)?;
        output.body = Some(body::outgoing(chunks, size));
        Ok(S3Response::new(output))
    }
}
