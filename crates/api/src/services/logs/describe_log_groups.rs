//! `DescribeLogGroups`: in the order of their names.

use async_trait::async_trait;
use kennel_platform::telemetry::Group;
use serde::{Deserialize, Serialize};

use super::{arn, members, token};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

/// AWS's page size, both by default and at most.
const PAGE: usize = 50;

pub struct DescribeLogGroups;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    log_group_class: Option<String>,
    limit: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    log_groups: Vec<LogGroup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LogGroup {
    log_group_name: String,
    creation_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_in_days: Option<u32>,
    metric_filter_count: u32,
    arn: String,
    stored_bytes: u64,
    log_group_class: &'static str,
    log_group_arn: String,
}

#[async_trait]
impl Operation for DescribeLogGroups {
    const NAME: &'static str = "DescribeLogGroups";
    type Input = Input;
    type Output = Output;

    fn authorize(context: &Context, _: &Input) -> Vec<Access> {
        vec![Access::new("logs:DescribeLogGroups", arn::group_resource(context, ""))]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        let prefix = input.log_group_name_prefix.as_deref();
        members::group_name(violations, "logGroupNamePrefix", prefix);
        let pattern = input.log_group_name_pattern.as_deref();
        members::group_name(violations, "logGroupNamePattern", pattern);
        if prefix.is_some() && pattern.is_some() {
            let constraint = "Member must be absent beside logGroupNamePrefix";
            violations.add("logGroupNamePattern", "", constraint);
        }
        violations.one_of("logGroupClass", input.log_group_class.as_deref(), &["STANDARD"]);
        violations.range("limit", input.limit, 1..=PAGE as i64);
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE);
        let prefix = input.log_group_name_prefix.unwrap_or_default();
        let pattern = input.log_group_name_pattern.unwrap_or_default();
        let mut after: Option<String> =
            input.next_token.as_deref().map(token::decode).transpose()?;
        let mut found: Vec<Group> = Vec::new();
        // One more than asked for tells whether there is a next page.
        while found.len() <= limit {
            let logs = &context.platform.logs;
            let page = logs.groups(&prefix, after.as_deref(), limit + 1).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            found.extend(page.into_iter().filter(|group| group.name.contains(&pattern)));
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more).map(|group| group.name.clone());
        let mut log_groups = Vec::with_capacity(found.len());
        for group in found {
            log_groups.push(describe(context, group).await?);
        }
        let next_token = last.as_ref().map(token::encode).transpose()?;
        Ok(Output { log_groups, next_token })
    }
}

async fn describe(context: &Context, group: Group) -> Result<LogGroup, Failure> {
    Ok(LogGroup {
        creation_time: group.created_at_ms,
        retention_in_days: group.retention_days,
        metric_filter_count: 0,
        arn: arn::group_contents(context, &group.name),
        stored_bytes: context.platform.logs.stored_bytes(&group.name).await?,
        log_group_class: "STANDARD",
        log_group_arn: arn::group(context, &group.name),
        log_group_name: group.name,
    })
}
