//! One module per AWS service, one file per operation.

pub mod kennel;
pub mod logs;
pub mod runtime;
pub mod s3;
pub mod sagemaker;
pub mod sts;

use crate::registry::Service;

/// Every API this server speaks, besides S3.
pub static ALL: &[&Service] =
    &[&kennel::SERVICE, &logs::SERVICE, &runtime::SERVICE, &sagemaker::SERVICE, &sts::SERVICE];
