//! CreateEndpointConfig.
//!
//! KmsKeyId, VolumeSizeInGB and InferenceAmiVersion are stored and echoed: the disk and the system
//! are the user's own. Data capture, asynchronous and serverless inference, explainers, shadow
//! variants and inference components are refused by name.

use async_trait::async_trait;
use kennel_platform::endpoint::NewConfig;
use kennel_platform::names::{EntityName, Invalid};
use serde::{Deserialize, Serialize};

use super::endpoint_failure::of_endpoint;
use super::shapes::endpoint_variant::{ProductionVariant, validate_variants};
use super::shapes::tag::{Tag, tags_from, validate_tags};
use super::shapes::text;
use super::shapes::unsupported::{Unsupported, refuse, refuse_value};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct CreateEndpointConfig;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub endpoint_config_name: Option<String>,
    pub production_variants: Option<Vec<ProductionVariant>>,
    pub data_capture_config: Option<Unsupported>,
    pub tags: Option<Vec<Tag>>,
    pub kms_key_id: Option<String>,
    pub async_inference_config: Option<Unsupported>,
    pub explainer_config: Option<Unsupported>,
    pub shadow_production_variants: Option<Unsupported>,
    pub execution_role_arn: Option<Unsupported>,
    pub vpc_config: Option<Unsupported>,
    pub enable_network_isolation: Option<bool>,
    pub metrics_config: Option<Unsupported>,
    pub cross_region_traffic_config: Option<Unsupported>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub endpoint_config_arn: String,
}

#[async_trait]
impl Operation for CreateEndpointConfig {
    const NAME: &'static str = "CreateEndpointConfig";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.endpoint_config_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let config = context.arn("sagemaker", &format!("endpoint-config/{name}"));
        let mut accesses = vec![Access::new("sagemaker:CreateEndpointConfig", config.clone())];
        if input.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
            accesses.push(Access::new("sagemaker:AddTags", config));
        }
        accesses
    }

    fn validate(input: &Input, violations: &mut Violations) {
        text::entity_name(violations, "endpointConfigName", input.endpoint_config_name.as_deref());
        validate_variants(violations, input.production_variants.as_ref());
        validate_tags(violations, input.tags.as_ref());
        text::kms_key(violations, "kmsKeyId", input.kms_key_id.as_deref());
        if input.enable_network_isolation == Some(true) {
            let reason = "give it to CreateModel";
            refuse_value(violations, "enableNetworkIsolation", "true", reason);
        }
        let refused = [
            ("dataCaptureConfig", input.data_capture_config.as_ref()),
            ("asyncInferenceConfig", input.async_inference_config.as_ref()),
            ("explainerConfig", input.explainer_config.as_ref()),
            ("shadowProductionVariants", input.shadow_production_variants.as_ref()),
            ("executionRoleArn", input.execution_role_arn.as_ref()),
            ("vpcConfig", input.vpc_config.as_ref()),
            ("metricsConfig", input.metrics_config.as_ref()),
            ("crossRegionTrafficConfig", input.cross_region_traffic_config.as_ref()),
        ];
        for (name, value) in refused {
            refuse(violations, name, value);
        }
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let new = input.into_new().map_err(|error| Failure::validation(error.to_string()))?;
        let endpoints = &context.platform.endpoints;
        let created = endpoints.create_config(new).await;
        let config = created.map_err(|error| of_endpoint(context, error))?;
        Ok(Output { endpoint_config_arn: endpoints.config_arn(&config.name) })
    }
}

impl Input {
    fn into_new(self) -> Result<NewConfig, Invalid> {
        let variants = self.production_variants.unwrap_or_default();
        let variants = variants.into_iter().map(ProductionVariant::into_config);
        Ok(NewConfig {
            name: EntityName::parse(self.endpoint_config_name.as_deref().unwrap_or_default())?,
            variants: variants.collect::<Result<_, _>>()?,
            kms_key_id: self.kms_key_id,
            tags: tags_from(self.tags),
        })
    }
}
