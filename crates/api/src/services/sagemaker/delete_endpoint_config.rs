//! DeleteEndpointConfig. Endpoints that were made from it have a copy and go on.

use async_trait::async_trait;
use kennel_platform::names::EntityName;
use serde::Deserialize;

use super::endpoint_failure::of_endpoint;
use super::shapes::text;
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct DeleteEndpointConfig;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub endpoint_config_name: Option<String>,
}

#[async_trait]
impl Operation for DeleteEndpointConfig {
    const NAME: &'static str = "DeleteEndpointConfig";
    type Input = Input;
    type Output = ();

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.endpoint_config_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let config = context.arn("sagemaker", &format!("endpoint-config/{name}"));
        vec![Access::new("sagemaker:DeleteEndpointConfig", config)]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        text::entity_name(violations, "endpointConfigName", input.endpoint_config_name.as_deref());
    }

    async fn handle(context: &Context, input: Input) -> Result<(), Failure> {
        let name = EntityName::parse(input.endpoint_config_name.as_deref().unwrap_or_default())
            .map_err(|error| Failure::validation(error.to_string()))?;
        let deleted = context.platform.endpoints.delete_config(&name).await;
        deleted.map_err(|error| of_endpoint(context, error))
    }
}
