//! Production variants: as they are configured, and as they are shown while they serve.

use std::collections::BTreeSet;

use kennel_platform::endpoint::config::{Routing, VariantConfig};
use kennel_platform::endpoint::record::{Fleet, Variant};
use kennel_platform::instances;
use kennel_platform::limits::VARIANT_INSTANCES_MAX;
use kennel_platform::names::{EntityName, Invalid};
use kennel_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::model_container::model_name;
use super::text;
use super::unsupported::{Unsupported, refuse, refuse_value};
use crate::validate::Violations;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ProductionVariant {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_instance_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_pools: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant_instance_provision_timeout_in_seconds: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_variant_weight: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accelerator_type: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_dump_config: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serverless_config: Option<Unsupported>,
    #[serde(rename = "VolumeSizeInGB", skip_serializing_if = "Option::is_none")]
    pub volume_size_in_gb: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_data_download_timeout_in_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_startup_health_check_timeout_in_seconds: Option<i64>,
    #[serde(rename = "EnableSSMAccess", skip_serializing_if = "Option::is_none")]
    pub enable_ssm_access: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_instance_scaling: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_config: Option<RoutingConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inference_ami_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_reservation_config: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accelerator_partition_layouts: Option<Unsupported>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RoutingConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_strategy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_aware_routing_config: Option<Unsupported>,
}

/// Between one and ten variants, each name once.
pub fn validate_variants(violations: &mut Violations, variants: Option<&Vec<ProductionVariant>>) {
    violations.required("productionVariants", variants);
    text::count(violations, "productionVariants", variants.map(Vec::len), 1..=10);
    let mut seen = BTreeSet::new();
    for (variant, number) in variants.into_iter().flatten().zip(1..) {
        let path = format!("productionVariants.{number}.member");
        variant.validate(&path, violations);
        if let Some(name) = variant.variant_name.as_ref().filter(|name| !seen.insert(*name)) {
            let constraint = "Member must be unique among the variants";
            violations.add(&format!("{path}.variantName"), &format!("'{name}'"), constraint);
        }
    }
}

impl ProductionVariant {
    fn validate(&self, path: &str, violations: &mut Violations) {
        let member = format!("{path}.variantName");
        text::entity_name(violations, &member, self.variant_name.as_deref());
        model_name(violations, &format!("{path}.modelName"), self.model_name.as_deref());
        self.validate_instances(path, violations);
        let member = format!("{path}.initialVariantWeight");
        validate_weight(violations, &member, self.initial_variant_weight);
        let member = format!("{path}.volumeSizeInGB");
        violations.range(&member, self.volume_size_in_gb, 1..=512);
        let member = format!("{path}.modelDataDownloadTimeoutInSeconds");
        violations.range(&member, self.model_data_download_timeout_in_seconds, 60..=3_600);
        let member = format!("{path}.containerStartupHealthCheckTimeoutInSeconds");
        let startup = self.container_startup_health_check_timeout_in_seconds;
        violations.range(&member, startup, 60..=3_600);
        if self.enable_ssm_access == Some(true) {
            let member = format!("{path}.enableSSMAccess");
            refuse_value(violations, &member, "true", "there is no instance to log in to");
        }
        let member = format!("{path}.routingConfig");
        if let Some(config) = &self.routing_config {
            config.validate(&member, violations);
        }
        let member = format!("{path}.inferenceAmiVersion");
        violations.one_of(&member, self.inference_ami_version.as_deref(), AMI_VERSIONS);
        self.refuse_unsupported(path, violations);
    }

    fn validate_instances(&self, path: &str, violations: &mut Violations) {
        if self.serverless_config.is_some() {
            return;
        }
        let member = format!("{path}.instanceType");
        violations.required(&member, self.instance_type.as_ref());
        let hosts = instances::all().iter().filter(|instance| instance.hosts);
        let names: Vec<&str> = hosts.map(|instance| instance.name).collect();
        violations.one_of(&member, self.instance_type.as_deref(), &names);
        let member = format!("{path}.initialInstanceCount");
        violations.required(&member, self.initial_instance_count.as_ref());
        violations.range(&member, self.initial_instance_count, 1..=VARIANT_INSTANCES_MAX);
    }

    fn refuse_unsupported(&self, path: &str, violations: &mut Violations) {
        let provision = self.variant_instance_provision_timeout_in_seconds.as_ref();
        let refused = [
            ("instancePools", self.instance_pools.as_ref()),
            ("variantInstanceProvisionTimeoutInSeconds", provision),
            ("acceleratorType", self.accelerator_type.as_ref()),
            ("coreDumpConfig", self.core_dump_config.as_ref()),
            ("serverlessConfig", self.serverless_config.as_ref()),
            ("managedInstanceScaling", self.managed_instance_scaling.as_ref()),
            ("capacityReservationConfig", self.capacity_reservation_config.as_ref()),
            ("acceleratorPartitionLayouts", self.accelerator_partition_layouts.as_ref()),
        ];
        for (name, value) in refused {
            refuse(violations, &format!("{path}.{name}"), value);
        }
    }

    /// What the platform keeps. The variant has passed validation.
    pub fn into_config(self) -> Result<VariantConfig, Invalid> {
        let small = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
        let routing = self.routing_config.and_then(|config| config.routing_strategy);
        Ok(VariantConfig {
            name: EntityName::parse(self.variant_name.as_deref().unwrap_or_default())?,
            model_name: EntityName::parse(self.model_name.as_deref().unwrap_or_default())?,
            instance_type: self.instance_type.unwrap_or_default(),
            instance_count: small(self.initial_instance_count).unwrap_or(1),
            weight: self.initial_variant_weight.unwrap_or(1.0),
            download_timeout_secs: small(self.model_data_download_timeout_in_seconds),
            startup_timeout_secs: small(self.container_startup_health_check_timeout_in_seconds),
            routing: match routing.as_deref() {
                Some("RANDOM") => Some(Routing::Random),
                Some(_) => Some(Routing::LeastOutstandingRequests),
                None => None,
            },
            volume_size_gb: small(self.volume_size_in_gb),
            inference_ami_version: self.inference_ami_version,
        })
    }
}

/// A finite number from zero on.
pub fn validate_weight(violations: &mut Violations, member: &str, weight: Option<f64>) {
    if let Some(weight) = weight.filter(|weight| !(weight.is_finite() && *weight >= 0.0)) {
        let constraint = "Member must have value greater than or equal to 0";
        violations.add(member, &format!("'{weight}'"), constraint);
    }
}

const AMI_VERSIONS: &[&str] = &[
    "al2-ami-sagemaker-inference-gpu-2",
    "al2-ami-sagemaker-inference-gpu-2-1",
    "al2-ami-sagemaker-inference-gpu-3-1",
    "al2-ami-sagemaker-inference-neuron-2",
    "al2023-ami-sagemaker-inference-gpu-4-1",
];

impl RoutingConfig {
    fn validate(&self, path: &str, violations: &mut Violations) {
        let member = format!("{path}.routingStrategy");
        let strategy = self.routing_strategy.as_deref();
        violations.required(&member, strategy.as_ref());
        let known = ["LEAST_OUTSTANDING_REQUESTS", "RANDOM", "PREFIX_AWARE", "KV_AWARE"];
        violations.one_of(&member, strategy, &known);
        if let Some(strategy @ ("PREFIX_AWARE" | "KV_AWARE")) = strategy {
            refuse_value(violations, &member, strategy, "use LEAST_OUTSTANDING_REQUESTS");
        }
        let member = format!("{path}.prefixAwareRoutingConfig");
        refuse(violations, &member, self.prefix_aware_routing_config.as_ref());
    }
}

impl From<VariantConfig> for ProductionVariant {
    fn from(config: VariantConfig) -> Self {
        Self {
            variant_name: Some(config.name.into()),
            model_name: Some(config.model_name.into()),
            initial_instance_count: Some(config.instance_count.into()),
            instance_type: Some(config.instance_type),
            instance_pools: None,
            variant_instance_provision_timeout_in_seconds: None,
            initial_variant_weight: Some(config.weight),
            accelerator_type: None,
            core_dump_config: None,
            serverless_config: None,
            volume_size_in_gb: config.volume_size_gb.map(i64::from),
            model_data_download_timeout_in_seconds: config.download_timeout_secs.map(i64::from),
            container_startup_health_check_timeout_in_seconds: config
                .startup_timeout_secs
                .map(i64::from),
            enable_ssm_access: None,
            managed_instance_scaling: None,
            routing_config: config.routing.map(RoutingConfig::from),
            inference_ami_version: config.inference_ami_version,
            capacity_reservation_config: None,
            accelerator_partition_layouts: None,
        }
    }
}

impl From<Routing> for RoutingConfig {
    fn from(routing: Routing) -> Self {
        Self {
            routing_strategy: Some(routing.as_str().to_owned()),
            prefix_aware_routing_config: None,
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProductionVariantSummary {
    pub variant_name: String,
    pub deployed_images: Vec<DeployedImage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_weight: Option<f64>,
    pub desired_weight: f64,
    pub current_instance_count: usize,
    pub desired_instance_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant_status: Option<Vec<VariantStatus>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_config: Option<RoutingConfig>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeployedImage {
    pub specified_image: String,
    pub resolved_image: String,
    pub resolution_time: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VariantStatus {
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    pub start_time: Timestamp,
}

/// What is said of a replica that is not started yet for want of memory.
const WAITING: &str = "Waiting for memory: this machine's is taken by what runs on it.";

/// A fleet as it is shown. `status` is what its variants are being brought to; `note` tells what
/// an instance type has and this machine has not.
pub fn summaries(
    fleet: &Fleet,
    status: Option<&'static str>,
    note: impl Fn(&str) -> Option<String>,
) -> Vec<ProductionVariantSummary> {
    let since = Timestamp(fleet.since_ms);
    let summary = |variant: &Variant| {
        let replicas = &variant.replicas;
        let ready = replicas.iter().filter(|one| one.run.as_ref().is_some_and(|run| run.ready));
        let image = &variant.model.container.image;
        ProductionVariantSummary {
            variant_name: variant.config.name.as_str().to_owned(),
            deployed_images: vec![DeployedImage {
                specified_image: image.clone(),
                resolved_image: image.clone(),
                resolution_time: since,
            }],
            current_weight: Some(variant.weight),
            desired_weight: variant.weight,
            current_instance_count: ready.count(),
            desired_instance_count: replicas.len(),
            variant_status: status.map(|status| {
                let waits = replicas.iter().any(|replica| replica.waiting_since_ms.is_some());
                let waiting = waits.then(|| WAITING.to_owned());
                let status_message = waiting.or_else(|| note(&variant.config.instance_type));
                vec![VariantStatus { status, status_message, start_time: since }]
            }),
            routing_config: variant.config.routing.map(RoutingConfig::from),
        }
    };
    fleet.variants.iter().map(summary).collect()
}
