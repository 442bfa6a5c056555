//! ListEndpoints.

use async_trait::async_trait;
use kennel_platform::endpoint::Status;
use kennel_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::endpoint_failure::of_endpoint;
use super::shapes::endpoint_listing::Listing;
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

/// AWS's words; nothing here is ever in some of them.
const STATUSES: &[&str] = &[
    "OutOfService",
    "Creating",
    "Updating",
    "SystemUpdating",
    "RollingBack",
    "InService",
    "Deleting",
    "Failed",
    "UpdateRollbackFailed",
];

pub struct ListEndpoints;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub sort_by: Option<String>,
    pub sort_order: Option<String>,
    pub next_token: Option<String>,
    pub max_results: Option<i64>,
    pub name_contains: Option<String>,
    pub creation_time_before: Option<Timestamp>,
    pub creation_time_after: Option<Timestamp>,
    pub last_modified_time_before: Option<Timestamp>,
    pub last_modified_time_after: Option<Timestamp>,
    pub status_equals: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub endpoints: Vec<EndpointSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EndpointSummary {
    pub endpoint_name: String,
    pub endpoint_arn: String,
    pub creation_time: Timestamp,
    pub last_modified_time: Timestamp,
    pub endpoint_status: &'static str,
}

#[async_trait]
impl Operation for ListEndpoints {
    const NAME: &'static str = "ListEndpoints";
    type Input = Input;
    type Output = Output;

    fn authorize(_context: &Context, _input: &Input) -> Vec<Access> {
        vec![Access::new("sagemaker:ListEndpoints", "*")]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        input.listing().validate(&["Name", "CreationTime", "Status"], violations);
        violations.one_of("statusEquals", input.status_equals.as_deref(), STATUSES);
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let listing = input.listing();
        let order = listing.order()?;
        let wanted = input.status_equals.as_deref();
        let status = Status::ALL.into_iter().find(|status| Some(status.as_str()) == wanted);
        if wanted.is_some() && status.is_none() {
            return Ok(Output { endpoints: Vec::new(), next_token: None });
        }
        let endpoints = &context.platform.endpoints;
        let page = endpoints.list(&listing.filter(), status, &order).await;
        let page = page.map_err(|error| of_endpoint(context, error))?;
        let next_token = listing.next_token(&page)?;
        let summaries = page.items.into_iter().map(|endpoint| EndpointSummary {
            endpoint_arn: endpoints.arn(&endpoint.name),
            endpoint_name: endpoint.name.into(),
            creation_time: Timestamp(endpoint.created_at_ms),
            last_modified_time: Timestamp(endpoint.modified_at_ms),
            endpoint_status: endpoint.status.as_str(),
        });
        Ok(Output { endpoints: summaries.collect(), next_token })
    }
}

impl Input {
    fn listing(&self) -> Listing<'_> {
        Listing {
            operation: "ListEndpoints",
            sort_by: self.sort_by.as_deref(),
            sort_order: self.sort_order.as_deref(),
            next_token: self.next_token.as_deref(),
            max_results: self.max_results,
            name_contains: self.name_contains.as_deref(),
            creation_time_before: self.creation_time_before,
            creation_time_after: self.creation_time_after,
            last_modified_time_before: self.last_modified_time_before,
            last_modified_time_after: self.last_modified_time_after,
            status_equals: self.status_equals.as_deref(),
        }
    }
}
