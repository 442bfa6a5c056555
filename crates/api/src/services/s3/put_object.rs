//! PutObject: takes an object in, in one piece.

use async_trait::async_trait;
use kennel_platform::limits::OBJECT_BYTES_MAX;
use kennel_platform::objects::{Algorithm, Error, NewObject};
use s3s::dto::{PutObjectInput, PutObjectOutput};
use s3s::{S3Response, S3Result};

use super::attributes::{attributes_of, echo_encryption, etag};
use super::checksums::{Announced, set_object_checksum};
use super::{Call, Operation, Target, body, conditions, errors, tagging};
use crate::operation::Access;

pub(super) struct PutObject;

#[async_trait]
impl Operation for PutObject {
    const NAME: &'static str = "PutObject";
    type Input = PutObjectInput;
    type Output = PutObjectOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        let mut needed = vec![target.on_object("s3:PutObject")];
        if target.headers.contains_key("x-amz-tagging") {
            needed.push(target.on_object("s3:PutObjectTagging"));
        }
        Ok(needed)
    }

    async fn handle(mut call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let attributes = attributes_of!(call.input).checked()?;
        let mut body = body::incoming(call.input.body.take());
        let input = &call.input;
        let announced = Announced::read(&call.headers)?;
        // As AWS does for clients that name none.
        let algorithm = announced.algorithm.unwrap_or(Algorithm::Crc64Nvme);
        let new = NewObject {
            attributes,
            tags: tagging::read_header(input.tagging.as_deref())?,
            checksum: Some(algorithm),
        };
        let condition = conditions::writing(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let length = input.content_length.and_then(|length| u64::try_from(length).ok());
        if length.is_some_and(|length| length > OBJECT_BYTES_MAX) {
            return Err(errors::of(Error::TooLarge { max: OBJECT_BYTES_MAX }));
        }
        // Before the body, which a client that waits for it then need not send.
        call.objects().bucket(&input.bucket).await.map_err(errors::of)?;

        let received = call.objects().receive(&mut body, &[algorithm], OBJECT_BYTES_MAX).await;
        let received = match received {
            Ok(received) => received,
            Err(error) => {
                body::drain(&mut body).await;
                return Err(errors::of(error));
            }
        };
        announced.verify(&received, call.trailers.as_ref())?;
        let kept = call.objects().put(&input.bucket, &input.key, received, new, &condition);
        let meta = kept.await.map_err(errors::of)?;

        let mut output =
            PutObjectOutput { e_tag: Some(etag(&meta.etag)), ..PutObjectOutput::default() };
        set_object_checksum!(output, &meta.checksum);
        echo_encryption!(output, meta.attributes);
        Ok(S3Response::new(output))
    }
}
