//! ListModels.

use async_trait::async_trait;
use kennel_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::endpoint_failure::of_model;
use super::shapes::endpoint_listing::Listing;
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct ListModels;

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
    pub models: Vec<ModelSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModelSummary {
    pub model_name: String,
    pub model_arn: String,
    pub creation_time: Timestamp,
}

#[async_trait]
impl Operation for ListModels {
    const NAME: &'static str = "ListModels";
    type Input = Input;
    type Output = Output;

    fn authorize(_context: &Context, _input: &Input) -> Vec<Access> {
        vec![Access::new("sagemaker:ListModels", "*")]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        input.listing().validate(&["Name", "CreationTime"], violations);
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let listing = input.listing();
        let models = &context.platform.models;
        let page = models.list(&listing.filter(), &listing.order()?).await;
        let page = page.map_err(|error| of_model(context, error))?;
        let next_token = listing.next_token(&page)?;
        let summaries = page.items.into_iter().map(|model| ModelSummary {
            model_arn: models.arn(&model.name),
            model_name: model.name.into(),
            creation_time: Timestamp(model.created_at_ms),
        });
        Ok(Output { models: summaries.collect(), next_token })
    }
}

impl Input {
    fn listing(&self) -> Listing<'_> {
        Listing {
            operation: "ListModels",
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
