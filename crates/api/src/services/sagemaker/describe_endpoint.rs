//! DescribeEndpoint.

use async_trait::async_trait;
use kennel_platform::endpoint::record::Fleet;
use kennel_platform::endpoint::{Endpoint, Endpoints, Status};
use kennel_platform::limits::FAILURE_REASON_CHARS_MAX;
use kennel_platform::names::EntityName;
use kennel_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::endpoint_failure::of_endpoint;
use super::shapes::endpoint_variant::{ProductionVariantSummary, summaries};
use super::shapes::text;
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct DescribeEndpoint;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub endpoint_name: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub endpoint_name: String,
    pub endpoint_arn: String,
    pub endpoint_config_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub production_variants: Option<Vec<ProductionVariantSummary>>,
    pub endpoint_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    pub creation_time: Timestamp,
    pub last_modified_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_deployment_summary: Option<PendingDeploymentSummary>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PendingDeploymentSummary {
    pub endpoint_config_name: String,
    pub production_variants: Vec<ProductionVariantSummary>,
    pub start_time: Timestamp,
}

#[async_trait]
impl Operation for DescribeEndpoint {
    const NAME: &'static str = "DescribeEndpoint";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.endpoint_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let endpoint = context.arn("sagemaker", &format!("endpoint/{name}"));
        vec![Access::new("sagemaker:DescribeEndpoint", endpoint)]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        text::entity_name(violations, "endpointName", input.endpoint_name.as_deref());
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let name = EntityName::parse(input.endpoint_name.as_deref().unwrap_or_default())
            .map_err(|error| Failure::validation(error.to_string()))?;
        let endpoints = &context.platform.endpoints;
        let endpoint = endpoints.get(&name).await.map_err(|error| of_endpoint(context, error))?;
        Ok(output(endpoints, endpoint))
    }
}

fn output(endpoints: &Endpoints, endpoint: Endpoint) -> Output {
    let note = |instance_type: &str| endpoints.instance_note(instance_type);
    // The first fleet is shown where a serving one would be.
    let (current, pending) = match (&endpoint.serving, &endpoint.next) {
        (None, first) => (first.as_ref(), None),
        (serving, next) => (serving.as_ref(), next.as_ref()),
    };
    let pending = pending.map(|fleet: &Fleet| PendingDeploymentSummary {
        endpoint_config_name: fleet.config_name.as_str().to_owned(),
        production_variants: summaries(fleet, Some("Creating"), note),
        start_time: Timestamp(fleet.since_ms),
    });
    let variant_status = match endpoint.status {
        Status::Creating => Some("Creating"),
        Status::Updating | Status::RollingBack => Some("Updating"),
        Status::Deleting => Some("Deleting"),
        Status::InService | Status::Failed => None,
    };
    let reason = |text: String| text.chars().take(FAILURE_REASON_CHARS_MAX).collect();
    Output {
        endpoint_arn: endpoints.arn(&endpoint.name),
        production_variants: current.map(|fleet| summaries(fleet, variant_status, note)),
        endpoint_name: endpoint.name.into(),
        endpoint_config_name: endpoint.config_name.into(),
        endpoint_status: endpoint.status.as_str(),
        failure_reason: endpoint.failure_reason.map(reason),
        creation_time: Timestamp(endpoint.created_at_ms),
        last_modified_time: Timestamp(endpoint.modified_at_ms),
        pending_deployment_summary: pending,
    }
}
