//! `DeleteRetentionPolicy`: a group keeps its events for ever again.

use async_trait::async_trait;
use serde::Deserialize;

use super::{arn, members};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct DeleteRetentionPolicy;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    log_group_name: Option<String>,
}

#[async_trait]
impl Operation for DeleteRetentionPolicy {
    const NAME: &'static str = "DeleteRetentionPolicy";
    type Input = Input;
    type Output = ();

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.log_group_name.as_deref().unwrap_or_default();
        vec![Access::new("logs:DeleteRetentionPolicy", arn::group_resource(context, name))]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        violations.required("logGroupName", input.log_group_name.as_ref());
        members::group_name(violations, "logGroupName", input.log_group_name.as_deref());
    }

    async fn handle(context: &Context, input: Input) -> Result<(), Failure> {
        let name = input.log_group_name.unwrap_or_default();
        Ok(context.platform.logs.put_retention(&name, None).await?)
    }
}
