//! DeleteObjects: up to a thousand keys, each allowed, deleted and answered for itself.

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use kennel_platform::objects::{Condition, Error};
use s3s::dto::{self, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ObjectIdentifier};
use s3s::{S3Error, S3Response, S3Result, s3_error};

use super::{Call, Operation, Target, errors, object_arn};
use crate::authorize;
use crate::limits::S3_DELETES_AT_ONCE;
use crate::operation::Access;

/// AWS's limit.
const KEYS_MAX: usize = 1000;

pub(super) struct DeleteObjects;

#[async_trait]
impl Operation for DeleteObjects {
    const NAME: &'static str = "DeleteObjects";
    type Input = DeleteObjectsInput;
    type Output = DeleteObjectsOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        // The keys are in the body: `delete` asks for each of them before anything else.
        let _ = target;
        Ok(Vec::new())
    }

    async fn handle(mut call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let named = std::mem::take(&mut call.input.delete.objects);
        if named.is_empty() || named.len() > KEYS_MAX {
            return Err(s3_error!(MalformedXML));
        }
        let is_quiet = call.input.delete.quiet.unwrap_or_default();
        let call = &call;
        // Together, so that the store commits many at once; in order, as they are answered.
        let results: Vec<(String, S3Result<()>)> = stream::iter(named)
            .map(|object| async move {
                let deleted = delete(call, &object).await;
                (object.key, deleted)
            })
            .buffered(S3_DELETES_AT_ONCE)
            .collect()
            .await;
        let mut deleted = Vec::new();
        let mut failed = Vec::new();
        for (key, result) in results {
            match result {
                // The bucket is not there for any of them.
                Err(error) if error.code().as_str() == "NoSuchBucket" => return Err(error),
                Err(error) => failed.push(failure(key, &error)),
                Ok(()) if is_quiet => {}
                Ok(()) => deleted.push(DeletedObject { key: Some(key), ..Default::default() }),
            }
        }
        let output = DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: (!failed.is_empty()).then_some(failed),
            ..DeleteObjectsOutput::default()
        };
        Ok(S3Response::new(output))
    }
}

async fn delete(call: &Call<DeleteObjectsInput>, object: &ObjectIdentifier) -> S3Result<()> {
    let bucket = call.input.bucket.as_str();
    let needed = Access::new("s3:DeleteObject", object_arn(bucket, &object.key));
    authorize::check(&call.context, &[needed]).map_err(|denied| errors::denied(&denied))?;
    if object.version_id.as_deref().is_some_and(|version| version != "null") {
        return Err(s3_error!(NoSuchVersion, "The specified version does not exist."));
    }
    if object.last_modified_time.is_some() || object.size.is_some() {
        return Err(errors::not_implemented("LastModifiedTime and Size of an object to delete"));
    }
    let condition = match &object.e_tag {
        None => Condition::None,
        Some(etag) => Condition::Etag(etag.value().to_owned()),
    };
    match call.objects().delete(bucket, &object.key, &condition).await {
        // With an ETag, too, what is not there is deleted.
        Ok(()) | Err(Error::NoSuchKey(_)) => Ok(()),
        Err(error) => Err(errors::of(error)),
    }
}

fn failure(key: String, error: &S3Error) -> dto::Error {
    let code = error.code().as_str();
    dto::Error {
        code: Some(code.to_owned()),
        key: Some(key),
        message: Some(error.message().unwrap_or(code).to_owned()),
        version_id: None,
    }
}
