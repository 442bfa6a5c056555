//! CreateEndpoint. The endpoint is recorded as Creating; its replicas are started after the answer.

use async_trait::async_trait;
use kennel_platform::names::EntityName;
use serde::{Deserialize, Serialize};

use super::endpoint_failure::of_endpoint;
use super::shapes::tag::{Tag, tags_from, validate_tags};
use super::shapes::text;
use super::shapes::unsupported::{Unsupported, refuse};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct CreateEndpoint;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub endpoint_name: Option<String>,
    pub endpoint_config_name: Option<String>,
    pub deployment_config: Option<Unsupported>,
    pub tags: Option<Vec<Tag>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub endpoint_arn: String,
}

#[async_trait]
impl Operation for CreateEndpoint {
    const NAME: &'static str = "CreateEndpoint";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.endpoint_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let config = input.endpoint_config_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let endpoint = context.arn("sagemaker", &format!("endpoint/{name}"));
        let config = context.arn("sagemaker", &format!("endpoint-config/{config}"));
        let mut accesses = vec![
            Access::new("sagemaker:CreateEndpoint", endpoint.clone()),
            Access::new("sagemaker:CreateEndpoint", config),
        ];
        if input.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
            accesses.push(Access::new("sagemaker:AddTags", endpoint));
        }
        accesses
    }

    fn validate(input: &Input, violations: &mut Violations) {
        text::entity_name(violations, "endpointName", input.endpoint_name.as_deref());
        text::entity_name(violations, "endpointConfigName", input.endpoint_config_name.as_deref());
        refuse(violations, "deploymentConfig", input.deployment_config.as_ref());
        validate_tags(violations, input.tags.as_ref());
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let parse = |name: Option<&str>| {
            EntityName::parse(name.unwrap_or_default())
                .map_err(|error| Failure::validation(error.to_string()))
        };
        let name = parse(input.endpoint_name.as_deref())?;
        let config_name = parse(input.endpoint_config_name.as_deref())?;
        let endpoints = &context.platform.endpoints;
        let created = endpoints.create(name, &config_name, &tags_from(input.tags)).await;
        let endpoint = created.map_err(|error| of_endpoint(context, error))?;
        Ok(Output { endpoint_arn: endpoints.arn(&endpoint.name) })
    }
}
