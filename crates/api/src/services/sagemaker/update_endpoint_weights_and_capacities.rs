//! UpdateEndpointWeightsAndCapacities. Weights hold at once; instances are added or drained.

use async_trait::async_trait;
use kennel_platform::endpoint::Desired;
use kennel_platform::limits::VARIANT_INSTANCES_MAX;
use kennel_platform::names::{EntityName, Invalid};
use serde::{Deserialize, Serialize};

use super::endpoint_failure::of_endpoint;
use super::shapes::endpoint_variant::validate_weight;
use super::shapes::text;
use super::shapes::unsupported::{Unsupported, refuse};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct UpdateEndpointWeightsAndCapacities;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub endpoint_name: Option<String>,
    pub desired_weights_and_capacities: Option<Vec<DesiredWeightAndCapacity>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DesiredWeightAndCapacity {
    pub variant_name: Option<String>,
    pub desired_weight: Option<f64>,
    pub desired_instance_count: Option<i64>,
    pub serverless_update_config: Option<Unsupported>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub endpoint_arn: String,
}

#[async_trait]
impl Operation for UpdateEndpointWeightsAndCapacities {
    const NAME: &'static str = "UpdateEndpointWeightsAndCapacities";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.endpoint_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let endpoint = context.arn("sagemaker", &format!("endpoint/{name}"));
        vec![Access::new("sagemaker:UpdateEndpointWeightsAndCapacities", endpoint)]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        text::entity_name(violations, "endpointName", input.endpoint_name.as_deref());
        let desired = input.desired_weights_and_capacities.as_ref();
        violations.required("desiredWeightsAndCapacities", desired);
        let most = usize::MAX;
        text::count(violations, "desiredWeightsAndCapacities", desired.map(Vec::len), 1..=most);
        for (change, number) in desired.into_iter().flatten().zip(1..) {
            let path = format!("desiredWeightsAndCapacities.{number}.member");
            let member = format!("{path}.variantName");
            text::entity_name(violations, &member, change.variant_name.as_deref());
            let member = format!("{path}.desiredWeight");
            validate_weight(violations, &member, change.desired_weight);
            let member = format!("{path}.desiredInstanceCount");
            violations.range(&member, change.desired_instance_count, 1..=VARIANT_INSTANCES_MAX);
            let member = format!("{path}.serverlessUpdateConfig");
            refuse(violations, &member, change.serverless_update_config.as_ref());
        }
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let invalid = |error: Invalid| Failure::validation(error.to_string());
        let name = EntityName::parse(input.endpoint_name.as_deref().unwrap_or_default())
            .map_err(invalid)?;
        let desired = input.desired_weights_and_capacities.unwrap_or_default();
        let desired = desired.into_iter().map(desired_of).collect::<Result<Vec<_>, _>>();
        let endpoints = &context.platform.endpoints;
        let updated =
            endpoints.update_weights_and_capacities(&name, &desired.map_err(invalid)?).await;
        let endpoint = updated.map_err(|error| of_endpoint(context, error))?;
        Ok(Output { endpoint_arn: endpoints.arn(&endpoint.name) })
    }
}

fn desired_of(change: DesiredWeightAndCapacity) -> Result<Desired, Invalid> {
    Ok(Desired {
        variant: EntityName::parse(change.variant_name.as_deref().unwrap_or_default())?,
        weight: change.desired_weight,
        instance_count: change.desired_instance_count.and_then(|count| u32::try_from(count).ok()),
    })
}
