//! CreateModel.
//!
//! VpcConfig is stored and echoed: a workload here has no network but its relays. A pipeline of
//! several containers, multi-model containers and model packages are refused by name.

use async_trait::async_trait;
use kennel_platform::model::{NewModel, Vpc};
use kennel_platform::names::{EntityName, RoleArn};
use serde::{Deserialize, Serialize};

use super::endpoint_failure::of_model;
use super::shapes::model_container::{ContainerDefinition, model_name};
use super::shapes::resources::VpcConfig;
use super::shapes::tag::{Tag, tags_from, validate_tags};
use super::shapes::text;
use super::shapes::unsupported::{Unsupported, refuse, refuse_value};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct CreateModel;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub model_name: Option<String>,
    pub primary_container: Option<ContainerDefinition>,
    pub containers: Option<Vec<ContainerDefinition>>,
    pub inference_execution_config: Option<Unsupported>,
    pub execution_role_arn: Option<String>,
    pub tags: Option<Vec<Tag>>,
    pub vpc_config: Option<VpcConfig>,
    pub enable_network_isolation: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub model_arn: String,
}

#[async_trait]
impl Operation for CreateModel {
    const NAME: &'static str = "CreateModel";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.model_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let model = context.arn("sagemaker", &format!("model/{name}"));
        let role = input.execution_role_arn.clone().unwrap_or_default();
        let mut accesses = vec![
            Access::new("sagemaker:CreateModel", model.clone()),
            Access::new("iam:PassRole", role),
        ];
        if input.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
            accesses.push(Access::new("sagemaker:AddTags", model));
        }
        accesses
    }

    fn validate(input: &Input, violations: &mut Violations) {
        model_name(violations, "modelName", input.model_name.as_deref());
        let listed = input.containers.as_deref().unwrap_or_default();
        if listed.is_empty() {
            violations.required("primaryContainer", input.primary_container.as_ref());
        } else if input.primary_container.is_some() {
            let constraint = "Member must not be given together with primaryContainer";
            violations.add("containers", "(given)", constraint);
        }
        if let Some(container) = &input.primary_container {
            container.validate("primaryContainer", violations);
        }
        if listed.len() > 1 {
            let count = format!("{} containers", listed.len());
            refuse_value(violations, "containers", &count, "an inference pipeline; give one");
        }
        for (container, number) in listed.iter().zip(1..) {
            container.validate(&format!("containers.{number}.member"), violations);
        }
        let config = input.inference_execution_config.as_ref();
        refuse(violations, "inferenceExecutionConfig", config);
        text::role_arn(violations, "executionRoleArn", input.execution_role_arn.as_deref());
        validate_tags(violations, input.tags.as_ref());
        if let Some(vpc) = &input.vpc_config {
            vpc.validate("vpcConfig", violations);
        }
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let new = input.into_new()?;
        if new.role.account() != context.account() {
            return Err(Failure::validation("Cross-account pass role is not allowed."));
        }
        let models = &context.platform.models;
        let model = models.create(new).await.map_err(|error| of_model(context, error))?;
        Ok(Output { model_arn: models.arn(&model.name) })
    }
}

impl Input {
    fn into_new(self) -> Result<NewModel, Failure> {
        let invalid =
            |error: kennel_platform::names::Invalid| Failure::validation(error.to_string());
        let listed = self.containers.and_then(|containers| containers.into_iter().next());
        let in_list = listed.is_some();
        let container = listed.or(self.primary_container);
        let Some(container) = container else {
            return Err(Failure::validation("A model has a container."));
        };
        let vpc = self.vpc_config.map(|vpc| Vpc {
            security_group_ids: vpc.security_group_ids.unwrap_or_default(),
            subnets: vpc.subnets.unwrap_or_default(),
        });
        let role = self.execution_role_arn.as_deref().unwrap_or_default();
        Ok(NewModel {
            name: EntityName::parse(self.model_name.as_deref().unwrap_or_default())
                .map_err(invalid)?,
            role: RoleArn::parse(role).map_err(invalid)?,
            container: container.into_container()?,
            in_list,
            network_isolation: self.enable_network_isolation.unwrap_or(false),
            vpc,
            tags: tags_from(self.tags),
        })
    }
}
