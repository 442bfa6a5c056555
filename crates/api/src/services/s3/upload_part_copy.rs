//! UploadPartCopy: a part of an object from the bytes of another.

use async_trait::async_trait;
use kennel_platform::limits::OBJECT_BYTES_MAX;
use s3s::dto::{CopyPartResult, Range, UploadPartCopyInput, UploadPartCopyOutput};
use s3s::{S3Response, S3Result, s3_error};

use super::attributes::{echo_encryption, etag, timestamp};
use super::checksums::set_checksum;
use super::conditions::Reading;
use super::upload_part::part_number;
use super::{Call, Operation, Target, copy_source, errors};
use crate::limits::S3_COPY_BYTES_MAX;
use crate::operation::Access;

pub(super) struct UploadPartCopy;

#[async_trait]
impl Operation for UploadPartCopy {
    const NAME: &'static str = "UploadPartCopy";
    type Input = UploadPartCopyInput;
    type Output = UploadPartCopyOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![copy_source::access(target.headers)?, target.on_object("s3:PutObject")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let input = &call.input;
        let number = part_number(input.part_number)?;
        let upload = call.objects().upload(&input.bucket, &input.key, &input.upload_id);
        let upload = upload.await.map_err(errors::of)?;
        let source = copy_source::open(&call, &input.copy_source).await?;
        conditions(input).check_source(&source.meta)?;
        let range = range(input.copy_source_range.as_deref(), source.meta.size)?;
        if range.end - range.start > S3_COPY_BYTES_MAX {
            return Err(s3_error!(
                InvalidRequest,
                "The specified copy source is larger than the maximum allowable size for a copy \
                 source: {S3_COPY_BYTES_MAX}"
            ));
        }
        let mut body = source.read(range).await.map_err(errors::of)?;
        let received =
            call.objects().receive(&mut body, &[upload.algorithm], OBJECT_BYTES_MAX).await;
        let received = received.map_err(errors::of)?;
        let (bucket, key) = (&input.bucket, &input.key);
        let kept = call.objects().put_part(bucket, key, &upload.id, number, received, None);
        let part = kept.await.map_err(errors::of)?;

        let mut result = CopyPartResult {
            e_tag: Some(etag(&part.etag)),
            last_modified: Some(timestamp(part.modified_ms)),
            ..CopyPartResult::default()
        };
        if upload.algorithm_was_named {
            set_checksum!(result, upload.algorithm, part.checksum);
        }
        let mut output = UploadPartCopyOutput {
            copy_part_result: Some(result),
            ..UploadPartCopyOutput::default()
        };
        echo_encryption!(output, upload.attributes);
        Ok(S3Response::new(output))
    }
}

fn conditions(input: &UploadPartCopyInput) -> Reading {
    Reading {
        if_match: input.copy_source_if_match.clone(),
        if_none_match: input.copy_source_if_none_match.clone(),
        if_modified_since: input.copy_source_if_modified_since.clone(),
        if_unmodified_since: input.copy_source_if_unmodified_since.clone(),
    }
}

/// Other than the range of a read, that of a copy must name both ends and lie in the source.
fn range(header: Option<&str>, size: u64) -> S3Result<std::ops::Range<u64>> {
    let Some(header) = header else { return Ok(0..size) };
    match Range::parse(header) {
        Ok(Range::Int { first, last: Some(last) }) if first <= last && last < size => {
            Ok(first..last + 1)
        }
        Ok(Range::Int { first, last: Some(last) }) if first <= last => {
            Err(errors::invalid_argument(format!(
                "Range specified is not valid for source object of size: {size}"
            )))
        }
        _ => Err(errors::invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first \
             and last are the zero-based offsets of the first and last bytes to copy",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn a_copied_range_lies_in_its_source() {
        assert_eq!(range(None, 10).unwrap(), 0..10);
        assert_eq!(range(Some("bytes=2-9"), 10).unwrap(), 2..10);
        for wrong in ["bytes=2-10", "bytes=2-", "bytes=-3", "bytes=5-2", "2-3"] {
            assert!(range(Some(wrong), 10).is_err(), "{wrong}");
        }
    }
}
