//! `DeleteLogStream`.

use async_trait::async_trait;
use serde::Deserialize;

use super::{arn, members};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct DeleteLogStream;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    log_group_name: Option<String>,
    log_stream_name: Option<String>,
}

#[async_trait]
impl Operation for DeleteLogStream {
    const NAME: &'static str = "DeleteLogStream";
    type Input = Input;
    type Output = ();

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let group = input.log_group_name.as_deref().unwrap_or_default();
        let stream = input.log_stream_name.as_deref().unwrap_or_default();
        vec![Access::new("logs:DeleteLogStream", arn::stream(context, group, stream))]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        violations.required("logGroupName", input.log_group_name.as_ref());
        members::group_name(violations, "logGroupName", input.log_group_name.as_deref());
        violations.required("logStreamName", input.log_stream_name.as_ref());
        members::stream_name(violations, "logStreamName", input.log_stream_name.as_deref());
    }

    async fn handle(context: &Context, input: Input) -> Result<(), Failure> {
        let group = input.log_group_name.unwrap_or_default();
        let stream = input.log_stream_name.unwrap_or_default();
        Ok(context.platform.logs.delete_stream(&group, &stream).await?)
    }
}
