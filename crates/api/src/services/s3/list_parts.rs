//! ListParts: what was uploaded of an object that comes in parts.

use async_trait::async_trait;
use kennel_platform::objects::{Algorithm, Part};
use s3s::dto::{
    self, ChecksumAlgorithm, ChecksumType, ListPartsInput, ListPartsOutput, StorageClass,
};
use s3s::{S3Response, S3Result};

use super::attributes::{etag, length, timestamp};
use super::checksums::set_checksum;
use super::listing::{limit, page_size};
use super::owner::{initiator, owner};
use super::{Call, Operation, Target, errors};
use crate::operation::Access;

pub(super) struct ListParts;

#[async_trait]
impl Operation for ListParts {
    const NAME: &'static str = "ListParts";
    type Input = ListPartsInput;
    type Output = ListPartsOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_object("s3:ListMultipartUploadParts")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let input = &call.input;
        let size = page_size(input.max_parts, "max-parts")?;
        let marker = u32::try_from(input.part_number_marker.unwrap_or_default());
        let marker = marker.map_err(|_| {
            errors::invalid_argument(
                "Argument part-number-marker must be an integer between 0 and 2147483647",
            )
        })?;
        let (id, limit) = (input.upload_id.as_str(), limit(size));
        let listed = call.objects().list_parts(&input.bucket, &input.key, id, marker, limit);
        let (upload, parts, is_truncated) = listed.await.map_err(errors::of)?;

        let named = upload.algorithm_was_named;
        let algorithm = named.then_some(upload.algorithm);
        let class = upload.attributes.storage_class.map(StorageClass::from);
        let last = parts.last().and_then(|part| i32::try_from(part.number).ok());
        let output = ListPartsOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(upload.id),
            checksum_algorithm: algorithm
                .map(|algorithm| ChecksumAlgorithm::from_static(algorithm.name())),
            checksum_type: named.then(|| ChecksumType::from_static(upload.kind.name())),
            initiator: Some(initiator(&call.context)),
            owner: Some(owner(&call.context)),
            is_truncated: Some(is_truncated),
            max_parts: Some(size),
            part_number_marker: Some(input.part_number_marker.unwrap_or_default()),
            next_part_number_marker: last,
            parts: Some(parts.into_iter().map(|part| shown(part, algorithm)).collect()),
            storage_class: class.or(Some(StorageClass::from_static(StorageClass::STANDARD))),
            ..ListPartsOutput::default()
        };
        Ok(S3Response::new(output))
    }
}

fn shown(part: Part, algorithm: Option<Algorithm>) -> dto::Part {
    let mut shown = dto::Part {
        e_tag: Some(etag(&part.etag)),
        last_modified: Some(timestamp(part.modified_ms)),
        part_number: i32::try_from(part.number).ok(),
        size: Some(length(part.size)),
        ..dto::Part::default()
    };
    if let Some(algorithm) = algorithm {
        set_checksum!(shown, algorithm, part.checksum);
    }
    shown
}
