//! CompleteMultipartUpload: makes one object of the uploaded parts.

use async_trait::async_trait;
use kennel_platform::objects::{CompletedPart, Completion};
use s3s::dto::{self, CompleteMultipartUploadInput, CompleteMultipartUploadOutput};
use s3s::{S3Response, S3Result, s3_error};

use super::attributes::{echo_encryption, etag};
use super::checksums::{given_checksum, set_object_checksum};
use super::{Call, Operation, Target, conditions, errors};
use crate::operation::Access;

pub(super) struct CompleteMultipartUpload;

#[async_trait]
impl Operation for CompleteMultipartUpload {
    const NAME: &'static str = "CompleteMultipartUpload";
    type Input = CompleteMultipartUploadInput;
    type Output = CompleteMultipartUploadOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_object("s3:PutObject")])
    }

    async fn handle(mut call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let named = call.input.multipart_upload.take().and_then(|upload| upload.parts);
        let named = named.unwrap_or_default();
        if named.is_empty() {
            return Err(s3_error!(MalformedXML));
        }
        let input = &call.input;
        let size = input.mpu_object_size.map(u64::try_from).transpose();
        let size = size.map_err(|_| {
            s3_error!(InvalidRequest, "Value for x-amz-mp-object-size header is invalid.")
        })?;
        let completion = Completion {
            parts: named.into_iter().map(part).collect::<S3Result<_>>()?,
            condition: conditions::writing(input.if_match.as_ref(), input.if_none_match.as_ref())?,
            size,
            checksum: given_checksum!(input),
        };
        let completed =
            call.objects().complete(&input.bucket, &input.key, &input.upload_id, &completion);
        let completed = completed.await.map_err(errors::of)?;

        let host = call.headers.get("host").and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_default();
        let mut output = CompleteMultipartUploadOutput {
            bucket: Some(input.bucket.clone()),
            e_tag: Some(etag(&completed.meta.etag)),
            location: Some(format!("http://{host}/{}/{}", input.bucket, input.key)),
            key: Some(call.input.key.clone()),
            ..CompleteMultipartUploadOutput::default()
        };
        set_object_checksum!(output, &completed.meta.checksum);
        echo_encryption!(output, completed.meta.attributes);
        Ok(S3Response::new(output))
    }
}

fn part(named: dto::CompletedPart) -> S3Result<CompletedPart> {
    let checksum = given_checksum!(named);
    let number = named.part_number.and_then(|number| u32::try_from(number).ok());
    match (number, named.e_tag) {
        (Some(number), Some(etag)) => {
            Ok(CompletedPart { number, etag: etag.into_value(), checksum })
        }
        _ => Err(s3_error!(MalformedXML)),
    }
}
