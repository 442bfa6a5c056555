//! ListTrainingJobs.

use async_trait::async_trait;
use kennel_platform::training::{Filter, SortBy, Status, Summary};
use kennel_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::shapes::paging::{self, RESULTS_DEFAULT};
use super::shapes::text;
use super::shapes::unsupported::{Unsupported, refuse};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct ListTrainingJobs;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub next_token: Option<String>,
    pub max_results: Option<i64>,
    pub creation_time_after: Option<Timestamp>,
    pub creation_time_before: Option<Timestamp>,
    pub last_modified_time_after: Option<Timestamp>,
    pub last_modified_time_before: Option<Timestamp>,
    pub name_contains: Option<String>,
    pub status_equals: Option<String>,
    pub sort_by: Option<String>,
    pub sort_order: Option<String>,
    pub warm_pool_status_equals: Option<Unsupported>,
    pub training_plan_arn_equals: Option<Unsupported>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub training_job_summaries: Vec<TrainingJobSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TrainingJobSummary {
    pub training_job_name: String,
    pub training_job_arn: String,
    pub creation_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_end_time: Option<Timestamp>,
    pub last_modified_time: Timestamp,
    pub training_job_status: &'static str,
    pub secondary_status: &'static str,
}

#[async_trait]
impl Operation for ListTrainingJobs {
    const NAME: &'static str = "ListTrainingJobs";
    type Input = Input;
    type Output = Output;

    fn authorize(_context: &Context, _input: &Input) -> Vec<Access> {
        vec![Access::new("sagemaker:ListTrainingJobs", "*")]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        text::plain(violations, "nextToken", input.next_token.as_deref(), 0..=8_192);
        violations.range("maxResults", input.max_results, 1..=100);
        violations.text(
            "nameContains",
            input.name_contains.as_deref(),
            0..=63,
            r"[a-zA-Z0-9\-]+",
            |part| {
                !part.is_empty()
                    && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            },
        );
        let statuses = ["InProgress", "Completed", "Failed", "Stopping", "Stopped", "Deleting"];
        violations.one_of("statusEquals", input.status_equals.as_deref(), &statuses);
        let orders = ["Name", "CreationTime", "Status"];
        violations.one_of("sortBy", input.sort_by.as_deref(), &orders);
        let directions = ["Ascending", "Descending"];
        violations.one_of("sortOrder", input.sort_order.as_deref(), &directions);
        refuse(violations, "warmPoolStatusEquals", input.warm_pool_status_equals.as_ref());
        refuse(violations, "trainingPlanArnEquals", input.training_plan_arn_equals.as_ref());
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let filter = input.filter();
        let listing = format!("ListTrainingJobs {} {filter:?}", input.status_text());
        let after = paging::decode(&listing, input.next_token.as_deref())?;
        if input.names_a_status_no_job_has() {
            return Ok(Output { training_job_summaries: Vec::new(), next_token: None });
        }
        let limit = input.max_results.and_then(|most| usize::try_from(most).ok());
        let page = context
            .platform
            .training
            .list(&filter, after.as_ref(), limit.unwrap_or(RESULTS_DEFAULT))
            .await?;
        let next = page.next.as_ref().map(|position| paging::encode(&listing, position));
        Ok(Output {
            training_job_summaries: page.summaries.into_iter().map(summary).collect(),
            next_token: next.transpose()?,
        })
    }
}

impl Input {
    fn filter(&self) -> Filter {
        let ms = |at: Option<Timestamp>| at.map(|at| at.0);
        Filter {
            name_contains: self.name_contains.clone(),
            status: self.status_equals.as_deref().and_then(Status::parse),
            created_after_ms: ms(self.creation_time_after),
            created_before_ms: ms(self.creation_time_before),
            modified_after_ms: ms(self.last_modified_time_after),
            modified_before_ms: ms(self.last_modified_time_before),
            sort_by: match self.sort_by.as_deref() {
                Some("Name") => SortBy::Name,
                Some("Status") => SortBy::Status,
                _ => SortBy::CreationTime,
            },
            descending: self.sort_order.as_deref() == Some("Descending"),
        }
    }

    fn status_text(&self) -> &str {
        self.status_equals.as_deref().unwrap_or_default()
    }

    /// `Deleting` is a status of AWS's that nothing here ever has.
    fn names_a_status_no_job_has(&self) -> bool {
        self.status_equals.as_deref().is_some_and(|status| Status::parse(status).is_none())
    }
}

fn summary(summary: Summary) -> TrainingJobSummary {
    TrainingJobSummary {
        training_job_name: summary.name.as_str().to_owned(),
        training_job_arn: summary.arn,
        creation_time: Timestamp(summary.created_at_ms),
        training_end_time: summary.ended_at_ms.map(Timestamp),
        last_modified_time: Timestamp(summary.modified_at_ms),
        training_job_status: summary.status.as_str(),
        secondary_status: summary.secondary_status.as_str(),
    }
}
