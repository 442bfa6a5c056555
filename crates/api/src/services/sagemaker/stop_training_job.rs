//! StopTrainingJob.

use async_trait::async_trait;
use kennel_platform::names::EntityName;
use serde::Deserialize;

use super::errors::no_such_job;
use super::shapes::text;
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct StopTrainingJob;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub training_job_name: Option<String>,
}

#[async_trait]
impl Operation for StopTrainingJob {
    const NAME: &'static str = "StopTrainingJob";
    type Input = Input;
    type Output = ();

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.training_job_name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let job = context.arn("sagemaker", &format!("training-job/{name}"));
        vec![Access::new("sagemaker:StopTrainingJob", job)]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        text::entity_name(violations, "trainingJobName", input.training_job_name.as_deref());
    }

    async fn handle(context: &Context, input: Input) -> Result<(), Failure> {
        let name = EntityName::parse(input.training_job_name.as_deref().unwrap_or_default())
            .map_err(|_| no_such_job())?;
        Ok(context.platform.training.request_stop(&name).await?)
    }
}
