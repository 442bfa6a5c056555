//! DescribeEndpointConfig.

use async_trait::async_trait;
use kennel_platform::names::EntityName;
use kennel_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::endpoint_failure::of_endpoint;
use super::shapes::endpoint_variant::ProductionVariant;
use super::shapes::text;
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct DescribeEndpointConfig;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub endpoint_config_name: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub endpoint_config_name: String,
    pub endpoint_config_arn: String,
    pub production_variants: Vec<ProductionVariant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    pub creation_time: Timestamp,
    pub enable_network_isolation: bool,
}

#[async_trait]
impl Operation for DescribeEndpointConfig {
    const NAME: &'static str = "DescribeEndpointConfig";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.endpoint_config_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let config = context.arn("sagemaker", &format!("endpoint-config/{name}"));
        vec![Access::new("sagemaker:DescribeEndpointConfig", config)]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        text::entity_name(violations, "endpointConfigName", input.endpoint_config_name.as_deref());
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let name = EntityName::parse(input.endpoint_config_name.as_deref().unwrap_or_default())
            .map_err(|error| Failure::validation(error.to_string()))?;
        let endpoints = &context.platform.endpoints;
        let found = endpoints.get_config(&name).await;
        let config = found.map_err(|error| of_endpoint(context, error))?;
        Ok(Output {
            endpoint_config_arn: endpoints.config_arn(&config.name),
            endpoint_config_name: config.name.into(),
            production_variants: config.variants.into_iter().map(Into::into).collect(),
            kms_key_id: config.kms_key_id,
            creation_time: Timestamp(config.created_at_ms),
            enable_network_isolation: false,
        })
    }
}
