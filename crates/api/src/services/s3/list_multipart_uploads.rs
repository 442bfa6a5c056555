//! ListMultipartUploads: uploads that were neither completed nor aborted.

use async_trait::async_trait;
use kennel_platform::objects::{Upload, UploadsRequest};
use s3s::dto::{
    ChecksumAlgorithm, ChecksumType, CommonPrefix, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, MultipartUpload, StorageClass,
};
use s3s::{S3Response, S3Result};

use super::attributes::timestamp;
use super::listing::{Encoding, limit, page_size};
use super::owner::{initiator, owner};
use super::{Call, Operation, Target, errors};
use crate::operation::Access;

pub(super) struct ListMultipartUploads;

#[async_trait]
impl Operation for ListMultipartUploads {
    const NAME: &'static str = "ListMultipartUploads";
    type Input = ListMultipartUploadsInput;
    type Output = ListMultipartUploadsOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_bucket("s3:ListBucketMultipartUploads")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let input = &call.input;
        let encoding = Encoding::read(input.encoding_type.as_ref())?;
        let size = page_size(input.max_uploads, "max-uploads")?;
        let key_marker = input.key_marker.as_deref().filter(|marker| !marker.is_empty());
        let request = UploadsRequest {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()),
            key_marker,
            id_marker: input.upload_id_marker.as_deref().filter(|marker| !marker.is_empty()),
            limit: limit(size),
        };
        let page = call.objects().list_uploads(&input.bucket, &request);
        let page = page.await.map_err(errors::of)?;
        let (next_key, next_id) = page.next.clone().unzip();
        let prefixes = page.common_prefixes.iter();
        let prefixes =
            prefixes.map(|prefix| CommonPrefix { prefix: Some(encoding.of(prefix)) }).collect();
        let uploads = page.uploads.into_iter().map(|upload| shown(&call, encoding, upload));
        let output = ListMultipartUploadsOutput {
            bucket: Some(input.bucket.clone()),
            common_prefixes: Some(prefixes),
            delimiter: input.delimiter.as_deref().map(|text| encoding.of(text)),
            encoding_type: input.encoding_type.clone(),
            is_truncated: Some(page.next.is_some()),
            key_marker: Some(encoding.of(input.key_marker.as_deref().unwrap_or_default())),
            max_uploads: Some(size),
            next_key_marker: next_key.map(|key| encoding.of(&key)),
            next_upload_id_marker: next_id,
            prefix: Some(encoding.of(request.prefix)),
            upload_id_marker: input.upload_id_marker.clone(),
            uploads: Some(uploads.collect()),
            request_charged: None,
        };
        Ok(S3Response::new(output))
    }
}

fn shown(
    call: &Call<ListMultipartUploadsInput>,
    encoding: Encoding,
    upload: Upload,
) -> MultipartUpload {
    let named = upload.algorithm_was_named;
    let class = upload.attributes.storage_class.map(StorageClass::from);
    MultipartUpload {
        checksum_algorithm: named.then(|| ChecksumAlgorithm::from_static(upload.algorithm.name())),
        checksum_type: named.then(|| ChecksumType::from_static(upload.kind.name())),
        initiated: Some(timestamp(upload.initiated_ms)),
        initiator: Some(initiator(&call.context)),
        key: Some(encoding.of(&upload.key)),
        owner: Some(owner(&call.context)),
        storage_class: class.or(Some(StorageClass::from_static(StorageClass::STANDARD))),
        upload_id: Some(upload.id),
    }
}
