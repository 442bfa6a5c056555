//! Every bound of the gateway with the reason for its number.

use std::time::Duration;

/// Connections open at a time. Clients keep ten to fifty each; a thousand leave the process far
/// below the usual 1,024 to 65,536 descriptors, of which workloads need some.
pub const CONNECTIONS_MAX: usize = 900;

/// Requests worked on at a time. A request costs at most its body in memory, and more at once
/// than this only make each other slower.
pub const REQUESTS_MAX: usize = 512;

/// The head of a request: AWS's services take 8 to 16 KB of headers, and S3's longest signed URLs
/// (key of 1,024 bytes encoded, session token) stay below this.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Headers of a request. The richest S3 request has some forty and up to 2 KB of user metadata.
pub const HEADERS_MAX: usize = 200;

/// How long a connection may take for a request's head, the wait for the request included: longer
/// than the 30 and 60 s at which SDKs poll, so that their connections are reused.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// The longest pause inside a body. A client that sends nothing for this long is gone.
pub const BODY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Bodies of JSON and query services. AWS's largest are PutLogEvents with 1 MiB of events and its
/// overhead, and Lambda's 6 MB of arguments; shapes of SageMaker stay far below.
pub const JSON_BODY_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Bodies of query services: an IAM policy is the largest member, with some 10 KB.
pub const QUERY_BODY_BYTES_MAX: usize = 256 * 1024;

/// Bodies of InvokeEndpoint: AWS's 25 MB for real-time endpoints.
pub const INVOCATION_BODY_BYTES_MAX: usize = 25 * 1024 * 1024;

/// After a shutdown was asked for, how long requests under way may take. Most are done in
/// milliseconds; what is not is repeated by its client.
pub const DRAIN_MAX: Duration = Duration::from_secs(20);

/// Pause after the system refused to hand over a connection (usually: no descriptors left), so
/// that the loop does not spin until one is free again.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Bodies of S3 that are XML: DeleteObjects with a thousand keys of a thousand bytes, escaped, and
/// CompleteMultipartUpload with ten thousand parts stay below it.
pub const S3_XML_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Forms are refused before they are read; should one get through, no more than this is gathered.
pub const S3_FORM_BYTES_MAX: u64 = 1024 * 1024;

/// An error document of S3: a sentence and some names.
pub const S3_ERROR_BYTES_MAX: usize = 64 * 1024;

/// AWS's largest copy in one request: 5 GiB.
pub const S3_COPY_BYTES_MAX: u64 = 5 << 30;

/// Keys of one DeleteObjects worked on together: enough for the store to commit them in groups.
pub const S3_DELETES_AT_ONCE: usize = 64;

/// What is read of an upload after it failed, so that the client hears why: the parts clients send
/// by default, twice.
pub const S3_DRAIN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long that may take.
pub const S3_DRAIN_MAX: Duration = Duration::from_secs(5);

/// Bodies up to this size are hashed where they are read: it takes less than a millisecond, and
/// handing them to another thread costs a tenth of one.
pub const HASH_INLINE_BYTES_MAX: usize = 512 * 1024;
