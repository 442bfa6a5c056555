//! CreateMultipartUpload: begins an object that comes in parts.

use async_trait::async_trait;
use kennel_platform::objects::NewUpload;
use s3s::dto::{
    ChecksumAlgorithm, ChecksumType, CreateMultipartUploadInput, CreateMultipartUploadOutput,
};
use s3s::{S3Response, S3Result, s3_error};

use super::attributes::{attributes_of, echo_encryption};
use super::{Call, Operation, Target, checksums, errors, tagging};
use crate::operation::Access;

pub(super) struct CreateMultipartUpload;

#[async_trait]
impl Operation for CreateMultipartUpload {
    const NAME: &'static str = "CreateMultipartUpload";
    type Input = CreateMultipartUploadInput;
    type Output = CreateMultipartUploadOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        let mut needed = vec![target.on_object("s3:PutObject")];
        if target.headers.contains_key("x-amz-tagging") {
            needed.push(target.on_object("s3:PutObjectTagging"));
        }
        Ok(needed)
    }

    async fn handle(mut call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let attributes = attributes_of!(call.input).checked()?;
        let input = &call.input;
        let algorithm = checksums::algorithm(input.checksum_algorithm.as_ref())?;
        let checksum = match (algorithm, &input.checksum_type) {
            (Some(algorithm), named) => {
                Some((algorithm, checksums::kind(algorithm, named.as_ref())?))
            }
            (None, None) => None,
            (None, Some(_)) => {
                return Err(s3_error!(
                    InvalidRequest,
                    "The x-amz-checksum-type header can only be used with the \
                     x-amz-checksum-algorithm header."
                ));
            }
        };
        let tags = tagging::read_header(input.tagging.as_deref())?;
        let new = NewUpload { attributes, tags, checksum };
        let upload = call.objects().create_upload(&input.bucket, &input.key, new);
        let upload = upload.await.map_err(errors::of)?;

        let mut output = CreateMultipartUploadOutput {
            bucket: Some(call.input.bucket),
            key: Some(call.input.key),
            upload_id: Some(upload.id),
            ..CreateMultipartUploadOutput::default()
        };
        if upload.algorithm_was_named {
            let algorithm = upload.algorithm.name();
            output.checksum_algorithm = Some(ChecksumAlgorithm::from_static(algorithm));
            output.checksum_type = Some(ChecksumType::from_static(upload.kind.name()));
        }
        echo_encryption!(output, upload.attributes);
        Ok(S3Response::new(output))
    }
}
