//! DeleteModel. Endpoints that serve the model have a copy and go on.

use async_trait::async_trait;
use kennel_platform::names::EntityName;
use serde::Deserialize;

use super::endpoint_failure::of_model;
use super::shapes::model_container::model_name;
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct DeleteModel;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub model_name: Option<String>,
}

#[async_trait]
impl Operation for DeleteModel {
    const NAME: &'static str = "DeleteModel";
    type Input = Input;
    type Output = ();

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.model_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let model = context.arn("sagemaker", &format!("model/{name}"));
        vec![Access::new("sagemaker:DeleteModel", model)]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        model_name(violations, "modelName", input.model_name.as_deref());
    }

    async fn handle(context: &Context, input: Input) -> Result<(), Failure> {
        let name = EntityName::parse(input.model_name.as_deref().unwrap_or_default())
            .map_err(|error| Failure::validation(error.to_string()))?;
        let deleted = context.platform.models.delete(&name).await;
        deleted.map_err(|error| of_model(context, error))
    }
}
