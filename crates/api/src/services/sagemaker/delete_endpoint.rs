//! DeleteEndpoint. Requests are refused from the answer on; the endpoint is gone once its replicas
//! have ended.

use async_trait::async_trait;
use kennel_platform::names::EntityName;
use serde::Deserialize;

use super::endpoint_failure::of_endpoint;
use super::shapes::text;
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct DeleteEndpoint;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub endpoint_name: Option<String>,
}

#[async_trait]
impl Operation for DeleteEndpoint {
    const NAME: &'static str = "DeleteEndpoint";
    type Input = Input;
    type Output = ();

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.endpoint_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let endpoint = context.arn("sagemaker", &format!("endpoint/{name}"));
        vec![Access::new("sagemaker:DeleteEndpoint", endpoint)]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        text::entity_name(violations, "endpointName", input.endpoint_name.as_deref());
    }

    async fn handle(context: &Context, input: Input) -> Result<(), Failure> {
        let name = EntityName::parse(input.endpoint_name.as_deref().unwrap_or_default())
            .map_err(|error| Failure::validation(error.to_string()))?;
        let deleted = context.platform.endpoints.delete(&name).await;
        deleted.map_err(|error| of_endpoint(context, error))
    }
}
