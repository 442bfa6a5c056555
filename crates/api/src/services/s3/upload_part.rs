//! UploadPart: takes one part of an object in.

use async_trait::async_trait;
use kennel_platform::limits::{OBJECT_BYTES_MAX, PART_NUMBER_MAX};
use kennel_platform::objects::Error;
use s3s::dto::{UploadPartInput, UploadPartOutput};
use s3s::{S3Response, S3Result};

use super::attributes::{echo_encryption, etag};
use super::checksums::{Announced, set_checksum};
use super::{Call, Operation, Target, body, errors};
use crate::operation::Access;

pub(super) struct UploadPart;

#[async_trait]
impl Operation for UploadPart {
    const NAME: &'static str = "UploadPart";
    type Input = UploadPartInput;
    type Output = UploadPartOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_object("s3:PutObject")])
    }

    async fn handle(mut call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let mut body = body::incoming(call.input.body.take());
        let input = &call.input;
        let number = part_number(input.part_number)?;
        let announced = Announced::read(&call.headers)?;
        let length = input.content_length.and_then(|length| u64::try_from(length).ok());
        if length.is_some_and(|length| length > OBJECT_BYTES_MAX) {
            return Err(errors::of(Error::TooLarge { max: OBJECT_BYTES_MAX }));
        }
        let upload = call.objects().upload(&input.bucket, &input.key, &input.upload_id);
        let upload = upload.await.map_err(errors::of)?;
        let mut algorithms = vec![upload.algorithm];
        match announced.algorithm {
            Some(other) if other != upload.algorithm && upload.algorithm_was_named => {
                return Err(errors::wrong_algorithm(upload.algorithm, other));
            }
            Some(other) if other != upload.algorithm => algorithms.push(other),
            Some(_) | None => {}
        }

        let received = call.objects().receive(&mut body, &algorithms, OBJECT_BYTES_MAX).await;
        let received = match received {
            Ok(received) => received,
            Err(error) => {
                body::drain(&mut body).await;
                return Err(errors::of(error));
            }
        };
        announced.verify(&received, call.trailers.as_ref())?;
        let echoed = announced.algorithm.unwrap_or(upload.algorithm);
        let checksum = received.checksum(echoed);
        let (bucket, key, algorithm) = (&input.bucket, &input.key, announced.algorithm);
        let kept = call.objects().put_part(bucket, key, &upload.id, number, received, algorithm);
        let part = kept.await.map_err(errors::of)?;

        let mut output =
            UploadPartOutput { e_tag: Some(etag(&part.etag)), ..UploadPartOutput::default() };
        if let Some(checksum) = checksum {
            set_checksum!(output, checksum.algorithm, checksum.value);
        }
        echo_encryption!(output, upload.attributes);
        Ok(S3Response::new(output))
    }
}

pub(super) fn part_number(number: i32) -> S3Result<u32> {
    let number = u32::try_from(number).ok().filter(|number| (1..=PART_NUMBER_MAX).contains(number));
    number.ok_or_else(|| {
        errors::invalid_argument("Part number must be an integer between 1 and 10000, inclusive")
    })
}
