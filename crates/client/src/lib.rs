//! Our own client of the AWS APIs: signs, sends, retries, and understands the answers.
//!
//! It serves the command line and the supervisors, over plain HTTP, against whatever endpoint it
//! is given. It opens no files (callers hand them in) and keeps no state but its connections.
//!
//! Read next: `transport` for what happens to one request, `s3` for objects.

mod apis;
mod credentials;
mod error;
mod invoke;
mod s3;
mod sign;
mod transport;

pub use apis::{CallerIdentity, JsonApi, LOGS, SAGEMAKER};
pub use credentials::{Credentials, SharedCredentials};
pub use error::Error;
pub use invoke::{InvokeEndpoint, Invoked};
pub use s3::{Download, Head, Lister, Object, Progress, Put, S3, Stored, Upload};
pub use transport::{Client, Patience};
