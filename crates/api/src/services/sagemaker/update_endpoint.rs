//! UpdateEndpoint. A new fleet is started beside the one that serves, takes over at once when all
//! of it is ready, and the old one serves the requests it had.
//!
//! DeploymentConfig is refused by name: every update is blue/green and all at once.

use std::collections::BTreeSet;

use async_trait::async_trait;
use kennel_platform::endpoint::Retain;
use kennel_platform::names::EntityName;
use serde::{Deserialize, Serialize};

use super::endpoint_failure::of_endpoint;
use super::shapes::text;
use super::shapes::unsupported::{Unsupported, refuse, refuse_value};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct UpdateEndpoint;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub endpoint_name: Option<String>,
    pub endpoint_config_name: Option<String>,
    pub retain_all_variant_properties: Option<bool>,
    pub exclude_retained_variant_properties: Option<Vec<VariantProperty>>,
    pub deployment_config: Option<Unsupported>,
    pub retain_deployment_config: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct VariantProperty {
    pub variant_property_type: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub endpoint_arn: String,
}

#[async_trait]
impl Operation for UpdateEndpoint {
    const NAME: &'static str = "UpdateEndpoint";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.endpoint_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let config = input.endpoint_config_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let endpoint = context.arn("sagemaker", &format!("endpoint/{name}"));
        let config = context.arn("sagemaker", &format!("endpoint-config/{config}"));
        vec![
            Access::new("sagemaker:UpdateEndpoint", endpoint),
            Access::new("sagemaker:UpdateEndpoint", config),
        ]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        text::entity_name(violations, "endpointName", input.endpoint_name.as_deref());
        text::entity_name(violations, "endpointConfigName", input.endpoint_config_name.as_deref());
        let excluded = input.exclude_retained_variant_properties.as_ref();
        let member = "excludeRetainedVariantProperties";
        text::count(violations, member, excluded.map(Vec::len), 0..=3);
        for (property, number) in excluded.into_iter().flatten().zip(1..) {
            let member = format!("{member}.{number}.member.variantPropertyType");
            let kind = property.variant_property_type.as_deref();
            violations.required(&member, kind.as_ref());
            let kinds = ["DesiredInstanceCount", "DesiredWeight", "DataCaptureConfig"];
            violations.one_of(&member, kind, &kinds);
        }
        refuse(violations, "deploymentConfig", input.deployment_config.as_ref());
        if input.retain_deployment_config == Some(true) {
            let reason = "there is no deployment configuration";
            refuse_value(violations, "retainDeploymentConfig", "true", reason);
        }
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let parse = |name: Option<&str>| {
            EntityName::parse(name.unwrap_or_default())
                .map_err(|error| Failure::validation(error.to_string()))
        };
        let name = parse(input.endpoint_name.as_deref())?;
        let config_name = parse(input.endpoint_config_name.as_deref())?;
        let endpoints = &context.platform.endpoints;
        let updated = endpoints.update(&name, &config_name, input.retain()).await;
        let endpoint = updated.map_err(|error| of_endpoint(context, error))?;
        Ok(Output { endpoint_arn: endpoints.arn(&endpoint.name) })
    }
}

impl Input {
    fn retain(&self) -> Retain {
        let all = self.retain_all_variant_properties.unwrap_or(false);
        let excluded = self.exclude_retained_variant_properties.iter().flatten();
        let excluded: BTreeSet<&str> =
            excluded.filter_map(|property| property.variant_property_type.as_deref()).collect();
        Retain {
            instance_counts: all && !excluded.contains("DesiredInstanceCount"),
            weights: all && !excluded.contains("DesiredWeight"),
        }
    }
}
