//! DescribeModel.

use async_trait::async_trait;
use kennel_platform::model::Model;
use kennel_platform::names::EntityName;
use kennel_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::endpoint_failure::of_model;
use super::shapes::model_container::{ContainerDefinition, model_name};
use super::shapes::resources::VpcConfig;
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct DescribeModel;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub model_name: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub model_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_container: Option<ContainerDefinition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<Vec<ContainerDefinition>>,
    pub execution_role_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_config: Option<VpcConfig>,
    pub creation_time: Timestamp,
    pub model_arn: String,
    pub enable_network_isolation: bool,
}

#[async_trait]
impl Operation for DescribeModel {
    const NAME: &'static str = "DescribeModel";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.model_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let model = context.arn("sagemaker", &format!("model/{name}"));
        vec![Access::new("sagemaker:DescribeModel", model)]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        model_name(violations, "modelName", input.model_name.as_deref());
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let name = EntityName::parse(input.model_name.as_deref().unwrap_or_default())
            .map_err(|error| Failure::validation(error.to_string()))?;
        let models = &context.platform.models;
        let model = models.get(&name).await.map_err(|error| of_model(context, error))?;
        let arn = models.arn(&model.name);
        Ok(output(model, arn))
    }
}

fn output(model: Model, arn: String) -> Output {
    let container = ContainerDefinition::from(model.container);
    let (primary, listed) =
        if model.in_list { (None, Some(vec![container])) } else { (Some(container), None) };
    Output {
        model_name: model.name.as_str().to_owned(),
        primary_container: primary,
        containers: listed,
        execution_role_arn: model.role.as_str().to_owned(),
        vpc_config: model.vpc.map(|vpc| VpcConfig {
            security_group_ids: Some(vpc.security_group_ids),
            subnets: Some(vpc.subnets),
        }),
        creation_time: Timestamp(model.created_at_ms),
        model_arn: arn,
        enable_network_isolation: model.network_isolation,
    }
}
