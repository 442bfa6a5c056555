//! SageMaker Runtime: requests to the models that endpoints serve.
//!
//! Its signatures have the scope of SageMaker; the path tells the two apart.

pub mod invoke_endpoint;
mod model_error;
#[cfg(test)]
mod tests;
mod transport;

use kennel_wire::Protocol;

use crate::limits;
use crate::registry::{Service, operations, raw_operations};

pub static SERVICE: Service = Service {
    name: "sagemaker-runtime",
    scope: "sagemaker",
    target: None,
    version: "2017-05-13",
    xml_namespace: None,
    protocols: &[Protocol::RestJson],
    any_region: false,
    body_bytes_max: limits::JSON_BODY_BYTES_MAX,
    operations: operations![],
    raw: raw_operations![invoke_endpoint::InvokeEndpoint],
};
