//! CreateTrainingJob.
//!
//! Members with a behaviour become a [`Spec`]; others are stored and echoed, or refused by name.
//! `docs/training-jobs.md` says which is which, and a test holds it against this file.

use std::collections::BTreeMap;

use async_trait::async_trait;
use kennel_platform::image;
use kennel_platform::names::{EntityName, RoleArn};
use kennel_platform::training::Spec;
use kennel_wire::run::Checkpoints;
use serde::{Deserialize, Serialize};

use super::shapes::channel::{Channel, validate_channels};
use super::shapes::debugger::{DebugHookConfig, ProfilerConfig, RuleConfiguration, validate_rules};
use super::shapes::resources::{ResourceConfig, VpcConfig, validate_resources};
use super::shapes::tag::{Tag, tags_from, validate_tags};
use super::shapes::text;
use super::shapes::training::{
    AlgorithmSpecification, CHECKPOINTS_PATH_DEFAULT, CheckpointConfig, OutputDataConfig,
    RUNTIME_SECS_DEFAULT, StoppingCondition, validate_algorithm, validate_output,
    validate_stopping,
};
use super::shapes::unsupported::{Unsupported, refuse, refuse_value};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct CreateTrainingJob;

/// Serialized as well: what is stored of a request is the request, without its tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_job_name: Option<String>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopping_condition: Option<StoppingCondition>,
    #[serde(skip_serializing)]
    pub tags: Option<Vec<Tag>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_network_isolation: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_inter_container_traffic_encryption: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_managed_spot_training: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_config: Option<CheckpointConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug_hook_config: Option<DebugHookConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug_rule_configurations: Option<Vec<RuleConfiguration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensor_board_output_config: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_config: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiler_config: Option<ProfilerConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiler_rule_configurations: Option<Vec<RuleConfiguration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_strategy: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_debug_config: Option<RemoteDebugConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infra_check_config: Option<InfraCheckConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_chaining_config: Option<SessionChainingConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serverless_job_config: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlflow_config: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_package_config: Option<Unsupported>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RemoteDebugConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_remote_debug: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct InfraCheckConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_infra_check: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SessionChainingConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_session_tag_chaining: Option<bool>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub training_job_arn: String,
}

#[async_trait]
impl Operation for CreateTrainingJob {
    const NAME: &'static str = "CreateTrainingJob";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.training_job_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let job = context.arn("sagemaker", &format!("training-job/{name}"));
        let role = input.role_arn.clone().unwrap_or_default();
        let mut accesses = vec![
            Access::new("sagemaker:CreateTrainingJob", job.clone()),
            Access::new("iam:PassRole", role),
        ];
        if input.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
            accesses.push(Access::new("sagemaker:AddTags", job));
        }
        accesses
    }

    fn validate(input: &Input, violations: &mut Violations) {
        text::entity_name(violations, "trainingJobName", input.training_job_name.as_deref());
        let hyperparameters = input.hyper_parameters.as_ref();
        text::map(violations, "hyperParameters", hyperparameters, 100, 0..=256, 2_500);
        validate_algorithm(violations, input.algorithm_specification.as_ref());
        text::role_arn(violations, "roleArn", input.role_arn.as_deref());
        validate_channels(violations, input.input_data_config.as_ref());
        validate_output(violations, input.output_data_config.as_ref());
        validate_resources(violations, input.resource_config.as_ref());
        if let Some(vpc) = &input.vpc_config {
            vpc.validate("vpcConfig", violations);
        }
        let spot = input.enable_managed_spot_training.unwrap_or(false);
        validate_stopping(violations, input.stopping_condition.as_ref(), spot);
        validate_tags(violations, input.tags.as_ref());
        if let Some(checkpoints) = &input.checkpoint_config {
            checkpoints.validate(violations);
        }
        input.validate_debugger(violations);
        input.validate_environment(violations);
        input.refuse_unsupported(violations);
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let tags = tags_from(input.tags.clone());
        let spec = input.into_spec()?;
        if spec.role_arn.account() != context.account() {
            return Err(Failure::validation("Cross-account pass role is not allowed."));
        }
        let job = context.platform.training.submit(spec, &tags).await?;
        Ok(Output { training_job_arn: job.arn })
    }
}

impl Input {
    fn validate_debugger(&self, violations: &mut Violations) {
        if let Some(hook) = &self.debug_hook_config {
            hook.validate("debugHookConfig", violations);
        }
        if let Some(profiler) = &self.profiler_config {
            profiler.validate("profilerConfig", violations);
        }
        let debug = self.debug_rule_configurations.as_ref();
        validate_rules(violations, "debugRuleConfigurations", debug);
        let profiler = self.profiler_rule_configurations.as_ref();
        validate_rules(violations, "profilerRuleConfigurations", profiler);
    }

    fn validate_environment(&self, violations: &mut Violations) {
        let member = "environment";
        text::map(violations, member, self.environment.as_ref(), 100, 0..=512, 512);
        for key in self.environment.iter().flatten().map(|(key, _)| key) {
            violations.text(
                "environment.key",
                Some(key),
                0..=512,
                "[a-zA-Z_][a-zA-Z0-9_]*",
                |key| {
                    key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                        && key.bytes().next().is_some_and(|first| !first.is_ascii_digit())
                },
            );
        }
        for value in self.environment.iter().flatten().map(|(_, value)| value) {
            if value.contains('\0') {
                let constraint = "Member must not contain the character with the code 0";
                violations.add("environment.value", "(given)", constraint);
            }
        }
    }

    fn refuse_unsupported(&self, violations: &mut Violations) {
        let members = [
            ("tensorBoardOutputConfig", self.tensor_board_output_config.as_ref()),
            ("experimentConfig", self.experiment_config.as_ref()),
            ("retryStrategy", self.retry_strategy.as_ref()),
            ("serverlessJobConfig", self.serverless_job_config.as_ref()),
            ("mlflowConfig", self.mlflow_config.as_ref()),
            ("modelPackageConfig", self.model_package_config.as_ref()),
        ];
        for (name, value) in members {
            refuse(violations, name, value);
        }
        let switches = [
            (
                "remoteDebugConfig.enableRemoteDebug",
                self.remote_debug_config.as_ref().and_then(|it| it.enable_remote_debug),
            ),
            (
                "infraCheckConfig.enableInfraCheck",
                self.infra_check_config.as_ref().and_then(|it| it.enable_infra_check),
            ),
            (
                "sessionChainingConfig.enableSessionTagChaining",
                self.session_chaining_config.as_ref().and_then(|it| it.enable_session_tag_chaining),
            ),
        ];
        for (name, value) in switches {
            if value == Some(true) {
                refuse_value(violations, name, "true", "use false");
            }
        }
    }

    /// The input has passed validation: what is absent here has its default.
    fn into_spec(self) -> Result<Spec, Failure> {
        let request = serde_json::to_value(&self).map_err(|error| Failure::internal(&error))?;
        let invalid =
            |error: kennel_platform::names::Invalid| Failure::validation(error.to_string());
        let algorithm = self.algorithm_specification.as_ref();
        let image = algorithm.and_then(|it| it.training_image.as_deref()).unwrap_or_default();
        let program = image::resolve(image).ok_or_else(|| Failure::validation(image::SUPPORTED))?;
        let output = self.output_data_config.unwrap_or(OutputDataConfig {
            kms_key_id: None,
            s3_output_path: None,
            compression_type: None,
        });
        let stopping = self.stopping_condition.unwrap_or_default();
        let channels = self.input_data_config.iter().flatten();
        let secs = |given: Option<i64>| given.and_then(|secs| u64::try_from(secs).ok());
        Ok(Spec {
            name: EntityName::parse(self.training_job_name.as_deref().unwrap_or_default())
                .map_err(invalid)?,
            role_arn: RoleArn::parse(self.role_arn.as_deref().unwrap_or_default())
                .map_err(invalid)?,
            program,
            hyperparameters: self.hyper_parameters.unwrap_or_default(),
            environment: self.environment.unwrap_or_default(),
            channels: channels.map(Channel::to_run).collect::<Result<_, _>>()?,
            output: text::location(output.s3_output_path.as_deref().unwrap_or_default())?,
            kms_key_id: output.kms_key_id.filter(|key| !key.is_empty()),
            checkpoints: self.checkpoint_config.map(checkpoints).transpose()?,
            instance_type: self
                .resource_config
                .and_then(|resources| resources.instance_type)
                .unwrap_or_default(),
            max_runtime_secs: secs(stopping.max_runtime_in_seconds).unwrap_or(RUNTIME_SECS_DEFAULT),
            max_wait_secs: secs(stopping.max_wait_time_in_seconds),
            max_pending_secs: secs(stopping.max_pending_time_in_seconds),
            network_isolation: self.enable_network_isolation.unwrap_or(false),
            metrics: algorithm.map(AlgorithmSpecification::metrics).unwrap_or_default(),
            request,
        })
    }
}

fn checkpoints(config: CheckpointConfig) -> Result<Checkpoints, Failure> {
    let place = text::location(config.s3_uri.as_deref().unwrap_or_default())?;
    let local_path = config.local_path.as_deref().filter(|path| !path.is_empty());
    let local_path = local_path.unwrap_or(CHECKPOINTS_PATH_DEFAULT).trim_end_matches('/');
    Ok(Checkpoints { bucket: place.bucket, prefix: place.key, local_path: local_path.to_owned() })
}

#[cfg(test)]
mod tests {
    use kennel_wire::shape::{self, Shape};

    use super::Input;

    const PAGE: &str = include_str!("../../../../../docs/training-jobs.md");

    /// Paths of the members of a shape that have no members, and whether each is only refused.
    fn leaves(shape: &Shape, path: &str, found: &mut Vec<(String, bool)>) {
        match shape {
            Shape::Structure { members } => {
                for (name, member) in members {
                    let dot = if path.is_empty() { "" } else { "." };
                    leaves(member, &format!("{path}{dot}{name}"), found);
                }
            }
            Shape::List { member } => leaves(member, &format!("{path}[]"), found),
            Shape::Any => found.push((path.to_owned(), true)),
            Shape::Map { .. }
            | Shape::Text
            | Shape::Integer
            | Shape::Number
            | Shape::Boolean
            | Shape::Timestamp => found.push((path.to_owned(), false)),
        }
    }

    /// Member and kind of each row of the page.
    fn rows() -> Vec<(&'static str, &'static str)> {
        let cells = |line: &'static str| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            Some((cells.next()?.strip_prefix('`')?.strip_suffix('`')?, cells.next()?))
        };
        PAGE.lines().filter_map(cells).collect()
    }

    fn covers(row: &str, leaf: &str) -> bool {
        leaf.strip_prefix(row).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    #[test]
    fn the_page_tells_of_every_member_what_becomes_of_it() {
        let mut found = Vec::new();
        leaves(&shape::of::<Input>(), "", &mut found);
        assert!(found.len() > 60, "{found:?}");
        for (leaf, refused) in &found {
            let kinds: Vec<_> =
                rows().into_iter().filter(|(row, _)| covers(row, leaf)).map(|it| it.1).collect();
            let [kind] = kinds.as_slice() else { panic!("{leaf} has the rows {kinds:?}") };
            assert!(["works", "echoed", "refused"].contains(kind), "{leaf}: {kind}");
            assert_eq!(*kind == "refused", *refused, "{leaf}: {kind}");
        }
        for (row, _) in rows() {
            assert!(found.iter().any(|(leaf, _)| covers(row, leaf)), "{row} is no member");
        }
    }
}
