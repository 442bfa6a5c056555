//! Where a copy comes from.

use http::HeaderMap;
use kennel_platform::objects::Download;
use s3s::dto::CopySource;
use s3s::{S3Result, s3_error};

use super::{Call, errors, object_arn};
use crate::operation::Access;

const HEADER: &str = "x-amz-copy-source";

/// The permission to read the source, from the raw header.
pub(super) fn access(headers: &HeaderMap) -> S3Result<Access> {
    let header = headers.get(HEADER).and_then(|value| value.to_str().ok());
    let source = header.and_then(|header| CopySource::parse(header).ok());
    let source = source.ok_or_else(|| {
        errors::invalid_argument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        )
    })?;
    let (bucket, key) = names(&source)?;
    Ok(Access::new("s3:GetObject", object_arn(bucket, key)))
}

pub(super) async fn open<I>(call: &Call<I>, source: &CopySource) -> S3Result<Download> {
    let (bucket, key) = names(source)?;
    let opened = call.objects().open(bucket, key).await;
    opened.map_err(|error| errors::hiding(&call.context, bucket, error))
}

pub(super) fn names(source: &CopySource) -> S3Result<(&str, &str)> {
    match source {
        CopySource::Bucket { bucket, key, version_id } => match version_id.as_deref() {
            None | Some("null") => Ok((bucket, key)),
            Some(_) => Err(errors::invalid_argument("Invalid version id specified")),
        },
        CopySource::AccessPoint { .. } | CopySource::Outpost { .. } => Err(s3_error!(
            NotImplemented,
            "Access points and Outposts are not implemented: x-amz-copy-source"
        )),
    }
}
