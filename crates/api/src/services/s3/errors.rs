//! The platform's errors in S3's words.

use std::borrow::Cow;

use http::StatusCode;
use kennel_platform::objects::{Algorithm, BodyError, Error};
use s3s::{S3Error, S3ErrorCode, s3_error};

use super::bucket_arn;
use crate::authorize::{self, Denied};
use crate::context::Context;
use crate::operation::Access;

pub(super) fn of(error: Error) -> S3Error {
    match error {
        Error::NoSuchBucket(_) => {
            s3_error!(NoSuchBucket, "The specified bucket does not exist")
        }
        Error::BucketExists(_) => s3_error!(
            BucketAlreadyOwnedByYou,
            "Your previous request to create the named bucket succeeded and you already own it."
        ),
        Error::BucketNotEmpty(_) => {
            s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty")
        }
        Error::BucketBusy(_) | Error::Contended => custom(
            "OperationAborted",
            StatusCode::CONFLICT,
            "A conflicting conditional operation is currently in progress against this resource. \
             Please try again.",
        ),
        Error::NoSuchKey(_) => s3_error!(NoSuchKey, "The specified key does not exist."),
        Error::NoSuchUpload(_) => s3_error!(
            NoSuchUpload,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may \
             have been aborted or completed."
        ),
        Error::PreconditionFailed(condition) => precondition_failed(condition),
        Error::InvalidPart(_) => s3_error!(
            InvalidPart,
            "One or more of the specified parts could not be found.  The part may not have been \
             uploaded, or the specified entity tag may not match the part's entity tag."
        ),
        Error::InvalidPartOrder => s3_error!(
            InvalidPartOrder,
            "The list of parts was not in ascending order. Parts must be ordered by part number."
        ),
        Error::PartTooSmall { .. } => s3_error!(
            EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed size"
        ),
        Error::TooLarge { .. } => {
            s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed size")
        }
        Error::SizeMismatch { expected, actual } => s3_error!(
            InvalidRequest,
            "The provided 'x-amz-mp-object-size' header value {expected} does not match what was \
             computed: {actual}"
        ),
        Error::BadChecksum(algorithm) => s3_error!(
            BadDigest,
            "The {} you specified did not match the calculated checksum.",
            algorithm.name()
        ),
        Error::BadMd5 => {
            s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received.")
        }
        Error::WrongAlgorithm { expected, actual } => wrong_algorithm(expected, actual),
        Error::PartChecksumMissing { number, algorithm } => s3_error!(
            InvalidRequest,
            "The upload was created using a {0} checksum. The complete request must include the \
             checksum for each part. It was missing for part {number} in the request.",
            algorithm.name().to_ascii_lowercase()
        ),
        Error::Body(error) => body(&error),
        Error::Full => custom(
            "InsufficientStorage",
            StatusCode::INSUFFICIENT_STORAGE,
            "The server's disk is full. Nothing of the request was stored.",
        ),
        Error::Corrupt { .. } | Error::Randomness | Error::Records(_) | Error::Blobs(_) => {
            tracing::error!(error = &error as &dyn std::error::Error, "internal failure");
            S3Error::internal_error(error)
        }
    }
}

/// As [`of`], but an object's absence is told only to callers who may list the bucket.
pub(super) fn hiding(context: &Context, bucket: &str, error: Error) -> S3Error {
    if matches!(error, Error::NoSuchKey(_)) {
        let needed = Access::new("s3:ListBucket", bucket_arn(bucket));
        if let Err(denied) = authorize::check(context, &[needed]) {
            return self::denied(&denied);
        }
    }
    of(error)
}

pub(super) fn denied(denied: &Denied) -> S3Error {
    s3_error!(AccessDenied, "{}", denied.message)
}

pub(super) fn precondition_failed(_condition: &'static str) -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

pub(super) fn invalid_argument(message: impl Into<Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message)
}

/// A header or a member that means something we do not have, named.
pub(super) fn not_implemented(name: &str) -> S3Error {
    s3_error!(
        NotImplemented,
        "A header you provided implies functionality that is not implemented: {name}"
    )
}

pub(super) fn body_hash_differs() -> S3Error {
    custom(
        "XAmzContentSHA256Mismatch",
        StatusCode::BAD_REQUEST,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )
}

pub(super) fn wrong_algorithm(expected: Algorithm, actual: Algorithm) -> S3Error {
    s3_error!(
        InvalidRequest,
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        expected.name().to_ascii_lowercase(),
        actual.name().to_ascii_lowercase()
    )
}

pub(super) fn custom(
    code: &'static str,
    status: StatusCode,
    message: impl Into<Cow<'static, str>>,
) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(status);
    error
}

/// Why a body broke. The types of `s3s` that say so are private, their text is all there is.
fn body(error: &BodyError) -> S3Error {
    let text = error.to_string();
    let is = |reason: &str| text.contains(reason);
    if is("Sha256Mismatch") {
        body_hash_differs()
    } else if is("AwsChunkedStreamError: SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch)
    } else if is("FormatError") || is("TooLarge") || is("TooManyTrailerHeaders") {
        s3_error!(InvalidRequest, "The body is not well-formed aws-chunked data.")
    } else if is(super::body::STALLED) {
        s3_error!(
            RequestTimeout,
            "Your socket connection to the server was not read from or written to within the \
             timeout period. Idle connections will be closed."
        )
    } else {
        s3_error!(
            IncompleteBody,
            "You did not provide the number of bytes specified by the Content-Length HTTP header"
        )
    }
}
