//! S3, spoken by `s3s` over the platform's buckets and objects.
//!
//! A request's way: [`handler`] turns away what is never answered here, `s3s` parses it and
//! verifies its signature with the secret [`auth`] finds, [`access`] checks session, owner and
//! permissions, and the operation's file does the rest. The hash of a body is verified while it
//! streams; nothing of it is committed before it ended without error. [`reply`] gives every error
//! AWS's sentence.
//!
//! To add an operation: its file, and a line in the list below.

mod access;
mod attributes;
mod auth;
mod body;
mod checksums;
mod conditions;
mod copy_source;
mod errors;
mod handler;
mod host;
mod listing;
mod owner;
mod reply;
mod selection;
mod tagging;

use async_trait::async_trait;
use http::HeaderMap;
use kennel_platform::objects::Objects;
use s3s::{S3, S3Request, S3Response, S3Result, TrailingHeaders, s3_error};
use tracing::instrument::WithSubscriber as _;

use crate::context::Context;
use crate::operation::Access;

pub use handler::{Handler, handler};

/// One operation of S3. Its file holds nothing else.
#[async_trait]
trait Operation {
    const NAME: &'static str;
    type Input;
    type Output;

    /// Every action and resource the caller must be allowed, from the raw request.
    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>>;

    /// Does it. The caller may, and is told of existence now.
    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>>;
}

/// What a request is about, before anything of it is believed.
struct Target<'a> {
    bucket: &'a str,
    key: &'a str,
    headers: &'a HeaderMap,
}

impl Target<'_> {
    fn on_bucket(&self, action: &'static str) -> Access {
        Access::new(action, bucket_arn(self.bucket))
    }

    fn on_object(&self, action: &'static str) -> Access {
        Access::new(action, object_arn(self.bucket, self.key))
    }
}

fn bucket_arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

fn object_arn(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::{bucket}/{key}")
}

/// A request that was verified and authorized.
struct Call<I> {
    context: Context,
    input: I,
    headers: HeaderMap,
    trailers: Option<TrailingHeaders>,
}

impl<I> Call<I> {
    fn new(request: S3Request<I>) -> S3Result<Self> {
        let S3Request { input, headers, mut extensions, trailing_headers, .. } = request;
        // Set by the access check; without it nobody was authorized.
        let context = extensions.remove::<Context>().ok_or_else(|| s3_error!(AccessDenied))?;
        Ok(Self { context, input, headers, trailers: trailing_headers })
    }

    fn objects(&self) -> &Objects {
        &self.context.platform.objects
    }
}

/// Where operations log; see [`handler`].
#[derive(Clone)]
struct Log(tracing::Dispatch);

/// How an operation is found by name.
struct Entry {
    name: &'static str,
    authorize: fn(&Target<'_>) -> S3Result<Vec<Access>>,
}

/// AWS's names of what is implemented.
pub fn operations() -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().map(|operation| operation.name)
}

struct Service;

macro_rules! operations {
    ($($file:ident::$operation:ident,)*) => {
        $(mod $file;)*

        static OPERATIONS: &[Entry] = &[$(Entry {
            name: <$file::$operation as Operation>::NAME,
            authorize: <$file::$operation as Operation>::authorize,
        },)*];

        /// What is not here, `s3s` refuses by name with NotImplemented.
        #[async_trait]
        impl S3 for Service {
            $(async fn $file(
                &self,
                request: S3Request<<$file::$operation as Operation>::Input>,
            ) -> S3Result<S3Response<<$file::$operation as Operation>::Output>> {
                let log = request.extensions.get::<Log>().map(|log| log.0.clone());
                let call = Call::new(request)?;
                <$file::$operation as Operation>::handle(call)
                    .with_subscriber(log.unwrap_or_default())
                    .await
            })*
        }
    };
}

operations![
    abort_multipart_upload::AbortMultipartUpload,
    complete_multipart_upload::CompleteMultipartUpload,
    copy_object::CopyObject,
    create_bucket::CreateBucket,
    create_multipart_upload::CreateMultipartUpload,
    delete_bucket::DeleteBucket,
    delete_bucket_tagging::DeleteBucketTagging,
    delete_object::DeleteObject,
    delete_object_tagging::DeleteObjectTagging,
    delete_objects::DeleteObjects,
    get_bucket_location::GetBucketLocation,
    get_bucket_tagging::GetBucketTagging,
    get_bucket_versioning::GetBucketVersioning,
    get_object::GetObject,
    get_object_attributes::GetObjectAttributes,
    get_object_tagging::GetObjectTagging,
    head_bucket::HeadBucket,
    head_object::HeadObject,
    list_buckets::ListBuckets,
    list_multipart_uploads::ListMultipartUploads,
    list_objects::ListObjects,
    list_objects_v2::ListObjectsV2,
    list_parts::ListParts,
    put_bucket_tagging::PutBucketTagging,
    put_object::PutObject,
    put_object_tagging::PutObjectTagging,
    upload_part::UploadPart,
    upload_part_copy::UploadPartCopy,
];
