//! `CreateLogGroup`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;

use super::{arn, members};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct CreateLogGroup;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    log_group_name: Option<String>,
    log_group_class: Option<String>,
    kms_key_id: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

#[async_trait]
impl Operation for CreateLogGroup {
    const NAME: &'static str = "CreateLogGroup";
    type Input = Input;
    type Output = ();

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.log_group_name.as_deref().unwrap_or_default();
        vec![Access::new("logs:CreateLogGroup", arn::group_resource(context, name))]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        violations.required("logGroupName", input.log_group_name.as_ref());
        members::group_name(violations, "logGroupName", input.log_group_name.as_deref());
        violations.one_of("logGroupClass", input.log_group_class.as_deref(), &["STANDARD"]);
        let absent = "Member is not supported by this server";
        if let Some(key) = &input.kms_key_id {
            violations.add("kmsKeyId", &format!("'{key}'"), absent);
        }
        if input.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
            violations.add("tags", "", absent);
        }
    }

    async fn handle(context: &Context, input: Input) -> Result<(), Failure> {
        let name = input.log_group_name.unwrap_or_default();
        Ok(context.platform.logs.create_group(&name).await?)
    }
}
