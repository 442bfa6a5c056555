//! DescribeTrainingJob.

use std::collections::BTreeMap;

use async_trait::async_trait;
use kennel_platform::names::EntityName;
use kennel_platform::training::{Job, Transition, metrics};
use kennel_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::create_training_job::{InfraCheckConfig, Input as Request, RemoteDebugConfig};
use super::errors::no_such_job;
use super::shapes::channel::Channel;
use super::shapes::debugger::{
    DebugHookConfig, ProfilerConfig, RuleConfiguration, RuleEvaluationStatus, evaluations,
};
use super::shapes::resources::{ResourceConfig, VpcConfig};
use super::shapes::text;
use super::shapes::training::{
    AlgorithmSpecification, CheckpointConfig, MetricDefinition, OutputDataConfig,
    RUNTIME_SECS_DEFAULT, StoppingCondition,
};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct DescribeTrainingJob;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub training_job_name: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub training_job_name: String,
    pub training_job_arn: String,
    pub model_artifacts: ModelArtifacts,
    pub training_job_status: &'static str,
    pub secondary_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hyper_parameters: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm_specification: Option<AlgorithmSpecification>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_data_config: Option<Vec<Channel>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_data_config: Option<OutputDataConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_config: Option<ResourceConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_config: Option<VpcConfig>,
    pub stopping_condition: StoppingCondition,
    pub creation_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_start_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_end_time: Option<Timestamp>,
    pub last_modified_time: Timestamp,
    pub secondary_status_transitions: Vec<SecondaryStatusTransition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_metric_data_list: Option<Vec<MetricData>>,
    pub enable_network_isolation: bool,
    pub enable_inter_container_traffic_encryption: bool,
    pub enable_managed_spot_training: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_config: Option<CheckpointConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_time_in_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billable_time_in_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug_hook_config: Option<DebugHookConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug_rule_configurations: Option<Vec<RuleConfiguration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug_rule_evaluation_statuses: Option<Vec<RuleEvaluationStatus>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiler_config: Option<ProfilerConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiler_rule_configurations: Option<Vec<RuleConfiguration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiler_rule_evaluation_statuses: Option<Vec<RuleEvaluationStatus>>,
    pub profiling_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_debug_config: Option<RemoteDebugConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infra_check_config: Option<InfraCheckConfig>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModelArtifacts {
    pub s3_model_artifacts: String,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SecondaryStatusTransition {
    pub status: &'static str,
    pub start_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Timestamp>,
    pub status_message: String,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MetricData {
    pub metric_name: String,
    pub value: f64,
    pub timestamp: Timestamp,
}

#[async_trait]
impl Operation for DescribeTrainingJob {
    const NAME: &'static str = "DescribeTrainingJob";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.training_job_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let job = context.arn("sagemaker", &format!("training-job/{name}"));
        vec![Access::new("sagemaker:DescribeTrainingJob", job)]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        text::entity_name(violations, "trainingJobName", input.training_job_name.as_deref());
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let name = EntityName::parse(input.training_job_name.as_deref().unwrap_or_default())
            .map_err(|_| no_such_job())?;
        let job = context.platform.training.get(&name).await?.ok_or_else(no_such_job)?;
        output(job)
    }
}

fn output(job: Job) -> Result<Output, Failure> {
    let request: Request = serde_json::from_value(job.spec.request.clone())
        .map_err(|error| Failure::internal(&error))?;
    let artifact = job.spec.model_artifact();
    let seconds = job.training_secs();
    let created = Timestamp(job.created_at_ms);
    let debug_rules = request.debug_rule_configurations.filter(|rules| !rules.is_empty());
    let profiler_rules = request.profiler_rule_configurations.filter(|rules| !rules.is_empty());
    Ok(Output {
        training_job_name: job.spec.name.as_str().to_owned(),
        training_job_arn: job.arn.clone(),
        model_artifacts: ModelArtifacts {
            s3_model_artifacts: format!("s3://{}/{}", artifact.bucket, artifact.key),
        },
        training_job_status: job.status().as_str(),
        secondary_status: job.secondary_status().as_str(),
        failure_reason: job.failure_reason.clone(),
        hyper_parameters: request.hyper_parameters.filter(|map| !map.is_empty()),
        algorithm_specification: request
            .algorithm_specification
            .map(|given| algorithm(given, &job)),
        role_arn: request.role_arn,
        input_data_config: request.input_data_config.filter(|channels| !channels.is_empty()),
        output_data_config: request.output_data_config.map(shown_output),
        resource_config: request.resource_config,
        vpc_config: request.vpc_config,
        stopping_condition: stopping(request.stopping_condition),
        creation_time: created,
        training_start_time: job.started_at_ms.map(Timestamp),
        training_end_time: job.ended_at_ms.map(Timestamp),
        last_modified_time: Timestamp(job.modified_at_ms),
        secondary_status_transitions: job.transitions.iter().map(transition).collect(),
        final_metric_data_list: final_metrics(&job.metrics.values),
        enable_network_isolation: request.enable_network_isolation.unwrap_or(false),
        enable_inter_container_traffic_encryption: request
            .enable_inter_container_traffic_encryption
            .unwrap_or(false),
        enable_managed_spot_training: request.enable_managed_spot_training.unwrap_or(false),
        checkpoint_config: request.checkpoint_config,
        training_time_in_seconds: seconds,
        // Nothing here interrupts a job, so all of its time would have been billed.
        billable_time_in_seconds: seconds,
        debug_hook_config: request.debug_hook_config,
        debug_rule_evaluation_statuses: evaluations(debug_rules.as_ref(), created),
        debug_rule_configurations: debug_rules,
        profiler_config: request.profiler_config.filter(|it| *it != ProfilerConfig::default()),
        profiler_rule_evaluation_statuses: evaluations(profiler_rules.as_ref(), created),
        profiler_rule_configurations: profiler_rules,
        profiling_status: "Disabled",
        environment: request.environment.filter(|map| !map.is_empty()),
        remote_debug_config: request
            .remote_debug_config
            .filter(|config| config.enable_remote_debug.is_some()),
        infra_check_config: request
            .infra_check_config
            .filter(|config| config.enable_infra_check.is_some()),
    })
}

/// With the definitions that are in force, as AWS shows those of its own algorithms.
fn algorithm(given: AlgorithmSpecification, job: &Job) -> AlgorithmSpecification {
    let definitions = job.spec.metrics.iter().cloned().map(MetricDefinition::from).collect();
    AlgorithmSpecification {
        metric_definitions: Some(definitions).filter(|list: &Vec<_>| !list.is_empty()),
        enable_sage_maker_metrics_time_series: Some(
            given.enable_sage_maker_metrics_time_series.unwrap_or(false),
        ),
        ..given
    }
}

/// KmsKeyId is always there: the SageMaker SDK reads it without asking whether it is.
fn shown_output(given: OutputDataConfig) -> OutputDataConfig {
    OutputDataConfig {
        kms_key_id: Some(given.kms_key_id.unwrap_or_default()),
        compression_type: Some(given.compression_type.unwrap_or_else(|| "GZIP".to_owned())),
        ..given
    }
}

fn stopping(given: Option<StoppingCondition>) -> StoppingCondition {
    let given = given.unwrap_or_default();
    let runtime = given.max_runtime_in_seconds.unwrap_or(RUNTIME_SECS_DEFAULT.cast_signed());
    StoppingCondition { max_runtime_in_seconds: Some(runtime), ..given }
}

fn transition(transition: &Transition) -> SecondaryStatusTransition {
    SecondaryStatusTransition {
        status: transition.status.as_str(),
        start_time: Timestamp(transition.start_ms),
        end_time: transition.end_ms.map(Timestamp),
        status_message: transition.message.clone(),
    }
}

fn final_metrics(values: &[metrics::Value]) -> Option<Vec<MetricData>> {
    let data = values.iter().map(|value| MetricData {
        metric_name: value.name.clone(),
        value: value.value,
        timestamp: Timestamp(value.at_ms),
    });
    (!values.is_empty()).then(|| data.collect())
}
