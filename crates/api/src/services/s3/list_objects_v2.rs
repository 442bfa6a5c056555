//! ListObjectsV2: paged by token.

use async_trait::async_trait;
use kennel_platform::objects::{After, ListRequest, Listed};
use s3s::dto::{
    ChecksumAlgorithm, ChecksumType, CommonPrefix, ListObjectsV2Input, ListObjectsV2Output, Object,
    ObjectStorageClass, Owner,
};
use s3s::{S3Response, S3Result};

use super::attributes::{etag, length, timestamp};
use super::listing::{Encoding, after, limit, page_size, token};
use super::owner::owner;
use super::{Call, Operation, Target, errors};
use crate::operation::Access;

pub(super) struct ListObjectsV2;

#[async_trait]
impl Operation for ListObjectsV2 {
    const NAME: &'static str = "ListObjectsV2";
    type Input = ListObjectsV2Input;
    type Output = ListObjectsV2Output;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_bucket("s3:ListBucket")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let input = &call.input;
        let encoding = Encoding::read(input.encoding_type.as_ref())?;
        let size = page_size(input.max_keys, "max-keys")?;
        let start_after = input.start_after.as_deref().filter(|key| !key.is_empty());
        let after = match (&input.continuation_token, start_after) {
            (Some(token), _) => after(token)?,
            (None, Some(key)) => After::Key(key.to_owned()),
            (None, None) => After::Nothing,
        };
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
        let request = ListRequest { prefix, delimiter, after, limit: limit(size) };
        let page = call.objects().page(&input.bucket, &request).await.map_err(errors::of)?;

        let owner = input.fetch_owner.unwrap_or_default().then(|| owner(&call.context));
        let key_count = page.objects.len() + page.common_prefixes.len();
        let contents = page.objects.into_iter();
        let contents = contents.map(|listed| shown(listed, encoding, owner.clone()));
        let prefixes = page.common_prefixes.iter();
        let prefixes = prefixes.map(|each| CommonPrefix { prefix: Some(encoding.of(each)) });
        let output = ListObjectsV2Output {
            name: Some(input.bucket.clone()),
            prefix: Some(encoding.of(prefix)),
            max_keys: Some(size),
            key_count: i32::try_from(key_count).ok(),
            is_truncated: Some(page.next.is_some()),
            contents: Some(contents.collect()),
            common_prefixes: Some(prefixes.collect()),
            continuation_token: input.continuation_token.clone(),
            next_continuation_token: page.next.as_ref().map(token),
            delimiter: delimiter.map(|text| encoding.of(text)),
            encoding_type: input.encoding_type.clone(),
            start_after: start_after.map(|text| encoding.of(text)),
            request_charged: None,
        };
        Ok(S3Response::new(output))
    }
}

pub(super) fn shown(listed: Listed, encoding: Encoding, owner: Option<Owner>) -> Object {
    let Listed { key, meta } = listed;
    let class = meta.attributes.storage_class.map(ObjectStorageClass::from);
    let standard = || ObjectStorageClass::from_static(ObjectStorageClass::STANDARD);
    let algorithm = |algorithm: &str| ChecksumAlgorithm::from(algorithm.to_owned());
    Object {
        key: Some(encoding.of(&key)),
        size: Some(length(meta.size)),
        e_tag: Some(etag(&meta.etag)),
        last_modified: Some(timestamp(meta.modified_ms)),
        storage_class: Some(class.unwrap_or_else(standard)),
        checksum_algorithm: meta
            .checksum
            .as_ref()
            .map(|checksum| vec![algorithm(checksum.algorithm.name())]),
        checksum_type: meta
            .checksum
            .as_ref()
            .map(|checksum| ChecksumType::from_static(checksum.kind.name())),
        owner,
        restore_status: None,
    }
}
