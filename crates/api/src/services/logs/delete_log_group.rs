//! `DeleteLogGroup`: with its streams and their events.

use async_trait::async_trait;
use serde::Deserialize;

use super::{arn, members};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct DeleteLogGroup;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    log_group_name: Option<String>,
}

#[async_trait]
impl Operation for DeleteLogGroup {
    const NAME: &'static str = "DeleteLogGroup";
    type Input = Input;
    type Output = ();

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.log_group_name.as_deref().unwrap_or_default();
        vec![Access::new("logs:DeleteLogGroup", arn::group_resource(context, name))]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        violations.required("logGroupName", input.log_group_name.as_ref());
        members::group_name(violations, "logGroupName", input.log_group_name.as_deref());
    }

    async fn handle(context: &Context, input: Input) -> Result<(), Failure> {
        let name = input.log_group_name.unwrap_or_default();
        Ok(context.platform.logs.delete_group(&name).await?)
    }
}
