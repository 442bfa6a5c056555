//! CopyObject: copies an object, or says something else of it where it is.

use async_trait::async_trait;
use kennel_platform::objects::{Attributes, Condition, NewObject, ObjectMeta, Tags};
use s3s::dto::{CopyObjectInput, CopyObjectOutput, CopyObjectResult};
use s3s::{S3Response, S3Result, s3_error};

use super::attributes::{attributes_of, echo_encryption, etag, timestamp};
use super::checksums::{self, set_object_checksum};
use super::conditions::Reading;
use super::{Call, Operation, Target, copy_source, errors, tagging};
use crate::limits::S3_COPY_BYTES_MAX;
use crate::operation::Access;

pub(super) struct CopyObject;

#[async_trait]
impl Operation for CopyObject {
    const NAME: &'static str = "CopyObject";
    type Input = CopyObjectInput;
    type Output = CopyObjectOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        let mut needed =
            vec![copy_source::access(target.headers)?, target.on_object("s3:PutObject")];
        if target.headers.contains_key("x-amz-tagging") {
            needed.push(target.on_object("s3:PutObjectTagging"));
        }
        Ok(needed)
    }

    async fn handle(mut call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let given = attributes_of!(call.input).checked()?;
        let input = &call.input;
        let checksum = checksums::algorithm(input.checksum_algorithm.as_ref())?;
        let source = copy_source::open(&call, &input.copy_source).await?;
        conditions(input).check_source(&source.meta)?;
        if source.meta.size > S3_COPY_BYTES_MAX {
            return Err(s3_error!(
                InvalidRequest,
                "The specified copy source is larger than the maximum allowable size for a copy \
                 source: {S3_COPY_BYTES_MAX}"
            ));
        }
        let replaces = replaces_metadata(input)?;
        let is_itself = copy_source::names(&input.copy_source)? == (&input.bucket, &input.key);
        let changes = replaces
            || checksum.is_some()
            || given.storage_class.is_some()
            || given.encryption.is_some()
            || given.website_redirect_location.is_some();
        if is_itself && !changes {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself \
                 without changing the object's metadata, storage class, website redirect location \
                 or encryption attributes."
            ));
        }
        let new = NewObject {
            attributes: if replaces { given } else { kept(&source.meta, given) },
            tags: tags(input, &source.meta)?,
            checksum,
        };
        let copied = call.objects().copy(source, &input.bucket, &input.key, new, &Condition::None);
        let meta = copied.await.map_err(errors::of)?;

        let mut result = CopyObjectResult {
            e_tag: Some(etag(&meta.etag)),
            last_modified: Some(timestamp(meta.modified_ms)),
            ..CopyObjectResult::default()
        };
        set_object_checksum!(result, &meta.checksum);
        let mut output =
            CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() };
        echo_encryption!(output, meta.attributes);
        Ok(S3Response::new(output))
    }
}

fn conditions(input: &CopyObjectInput) -> Reading {
    Reading {
        if_match: input.copy_source_if_match.clone(),
        if_none_match: input.copy_source_if_none_match.clone(),
        if_modified_since: input.copy_source_if_modified_since.clone(),
        if_unmodified_since: input.copy_source_if_unmodified_since.clone(),
    }
}

fn replaces_metadata(input: &CopyObjectInput) -> S3Result<bool> {
    match input.metadata_directive.as_ref().map(s3s::dto::MetadataDirective::as_str) {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(errors::invalid_argument("Unknown metadata directive.")),
    }
}

/// What a copy keeps of its source; class, encryption and redirect are the request's.
fn kept(source: &ObjectMeta, given: Attributes) -> Attributes {
    Attributes {
        storage_class: given.storage_class,
        encryption: given.encryption,
        website_redirect_location: given.website_redirect_location,
        ..source.attributes.clone()
    }
}

fn tags(input: &CopyObjectInput, source: &ObjectMeta) -> S3Result<Tags> {
    match input.tagging_directive.as_ref().map(s3s::dto::TaggingDirective::as_str) {
        None | Some("COPY") => Ok(source.tags.clone()),
        Some("REPLACE") => tagging::read_header(input.tagging.as_deref()),
        Some(_) => Err(errors::invalid_argument("Unknown tagging directive.")),
    }
}
