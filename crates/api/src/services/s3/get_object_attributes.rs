//! GetObjectAttributes: size, checksum and parts without the bytes.

use async_trait::async_trait;
use kennel_platform::objects::{Download, Kind};
use s3s::dto::{
    Checksum, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts,
    ObjectAttributes, ObjectPart, StorageClass,
};
use s3s::{S3Response, S3Result};

use super::attributes::{etag, length, timestamp};
use super::checksums::{set_checksum, set_object_checksum};
use super::listing::{limit, page_size};
use super::{Call, Operation, Target, errors};
use crate::operation::Access;

const KNOWN: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

pub(super) struct GetObjectAttributes;

#[async_trait]
impl Operation for GetObjectAttributes {
    const NAME: &'static str = "GetObjectAttributes";
    type Input = GetObjectAttributesInput;
    type Output = GetObjectAttributesOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_object("s3:GetObject"), target.on_object("s3:GetObjectAttributes")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let input = &call.input;
        // One header with commas, or one header each.
        let asked = input.object_attributes.iter().map(ObjectAttributes::as_str);
        let asked: Vec<&str> = asked.flat_map(|names| names.split(',')).map(str::trim).collect();
        if asked.is_empty() || asked.iter().any(|name| !KNOWN.contains(name)) {
            return Err(errors::invalid_argument("Invalid attribute name specified."));
        }
        let opened = call.objects().open(&input.bucket, &input.key).await;
        let download =
            opened.map_err(|error| errors::hiding(&call.context, &input.bucket, error))?;
        let meta = &download.meta;
        let mut output = GetObjectAttributesOutput {
            last_modified: Some(timestamp(meta.modified_ms)),
            ..GetObjectAttributesOutput::default()
        };
        if asked.contains(&"ETag") {
            output.e_tag = Some(etag(&meta.etag));
        }
        if asked.contains(&"Checksum") && meta.checksum.is_some() {
            let mut checksum = Checksum::default();
            set_object_checksum!(checksum, &meta.checksum);
            output.checksum = Some(checksum);
        }
        if asked.contains(&"ObjectParts") {
            output.object_parts = parts(&call, &download)?;
        }
        if asked.contains(&"StorageClass") {
            let class = meta.attributes.storage_class.clone();
            output.storage_class = Some(class.map_or_else(
                || StorageClass::from_static(StorageClass::STANDARD),
                StorageClass::from,
            ));
        }
        if asked.contains(&"ObjectSize") {
            output.object_size = Some(length(meta.size));
        }
        Ok(S3Response::new(output))
    }
}

/// Of an object that came in parts. Each part is listed where it has a checksum of its own, as on
/// AWS.
fn parts(
    call: &Call<GetObjectAttributesInput>,
    download: &Download,
) -> S3Result<Option<GetObjectAttributesParts>> {
    let Some(count) = download.meta.parts else { return Ok(None) };
    let mut answer = GetObjectAttributesParts {
        total_parts_count: i32::try_from(count).ok(),
        ..GetObjectAttributesParts::default()
    };
    let checksum = download.meta.checksum.as_ref();
    let Some(checksum) = checksum.filter(|checksum| checksum.kind == Kind::Composite) else {
        return Ok(Some(answer));
    };
    let size = page_size(call.input.max_parts, "max-parts")?;
    let marker = call.input.part_number_marker.unwrap_or_default();
    let all = download.parts();
    let after = all.iter().filter(|part| i64::from(part.number) > i64::from(marker));
    let mut listed = Vec::new();
    for part in after.clone().take(limit(size)) {
        let mut shown = ObjectPart {
            part_number: i32::try_from(part.number).ok(),
            size: Some(length(part.range.end - part.range.start)),
            ..ObjectPart::default()
        };
        if let Some(value) = &part.checksum {
            set_checksum!(shown, checksum.algorithm, value.clone());
        }
        listed.push(shown);
    }
    answer.is_truncated = Some(after.count() > listed.len());
    answer.max_parts = Some(size);
    answer.part_number_marker = Some(marker);
    answer.next_part_number_marker = listed.last().and_then(|part| part.part_number);
    answer.parts = Some(listed);
    Ok(Some(answer))
}
