//! ListEndpointConfigs.

use async_trait::async_trait;
use kennel_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::endpoint_failure::of_endpoint;
use super::shapes::endpoint_listing::Listing;
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct ListEndpointConfigs;

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
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub endpoint_configs: Vec<EndpointConfigSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EndpointConfigSummary {
    pub endpoint_config_name: String,
    pub endpoint_config_arn: String,
    pub creation_time: Timestamp,
}

#[async_trait]
impl Operation for ListEndpointConfigs {
    const NAME: &'static str = "ListEndpointConfigs";
    type Input = Input;
    type Output = Output;

    fn authorize(_context: &Context, _input: &Input) -> Vec<Access> {
        vec![Access::new("sagemaker:ListEndpointConfigs", "*")]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        input.listing().validate(&["Name", "CreationTime"], violations);
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let listing = input.listing();
        let endpoints = &context.platform.endpoints;
        let page = endpoints.list_configs(&listing.filter(), &listing.order()?).await;
        let page = page.map_err(|error| of_endpoint(context, error))?;
        let next_token = listing.next_token(&page)?;
        let summaries = page.items.into_iter().map(|config| EndpointConfigSummary {
            endpoint_config_arn: endpoints.config_arn(&config.name),
            endpoint_config_name: config.name.into(),
            creation_time: Timestamp(config.created_at_ms),
        });
        Ok(Output { endpoint_configs: summaries.collect(), next_token })
    }
}

impl Input {
    fn listing(&self) -> Listing<'_> {
        Listing {
            operation: "ListEndpointConfigs",
            sort_by: self.sort_by.as_deref(),
            sort_order: self.sort_order.as_deref(),
            next_token: self.next_token.as_deref(),
            max_results: self.max_results,
            name_contains: self.name_contains.as_deref(),
            creation_time_before: self.creation_time_before,
            creation_time_after: self.creation_time_after,
            last_modified_time_before: None,
            last_modified_time_after: None,
            status_equals: None,
        }
    }
}
