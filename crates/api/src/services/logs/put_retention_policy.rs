//! `PutRetentionPolicy`: how many days a group keeps its events.

use async_trait::async_trait;
use serde::Deserialize;

use super::{arn, members};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

/// The numbers of days AWS offers.
const DAYS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

pub struct PutRetentionPolicy;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    log_group_name: Option<String>,
    retention_in_days: Option<u32>,
}

#[async_trait]
impl Operation for PutRetentionPolicy {
    const NAME: &'static str = "PutRetentionPolicy";
    type Input = Input;
    type Output = ();

    fn authorize(context: &Context, input: &Input) -> Vec<Access> {
        let name = input.log_group_name.as_deref().unwrap_or_default();
        vec![Access::new("logs:PutRetentionPolicy", arn::group_resource(context, name))]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        violations.required("logGroupName", input.log_group_name.as_ref());
        members::group_name(violations, "logGroupName", input.log_group_name.as_deref());
        violations.required("retentionInDays", input.retention_in_days.as_ref());
        let days = input.retention_in_days.map(|days| days.to_string());
        let offered = DAYS.map(|days| days.to_string());
        let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
        violations.one_of("retentionInDays", days.as_deref(), &offered);
    }

    async fn handle(context: &Context, input: Input) -> Result<(), Failure> {
        let name = input.log_group_name.unwrap_or_default();
        Ok(context.platform.logs.put_retention(&name, input.retention_in_days).await?)
    }
}
