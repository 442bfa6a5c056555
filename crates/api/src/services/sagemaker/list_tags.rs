//! ListTags.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::shapes::paging;
use super::shapes::tag::Tag;
use super::shapes::text;
use super::taggable;
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

/// Tags of a page where the request names no number; no resource has more.
const RESULTS_DEFAULT: usize = 50;

pub struct ListTags;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub resource_arn: Option<String>,
    pub next_token: Option<String>,
    pub max_results: Option<i64>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub tags: Vec<Tag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

#[async_trait]
impl Operation for ListTags {
    const NAME: &'static str = "ListTags";
    type Input = Input;
    type Output = Output;

    fn authorize(_context: &Context, input: &Input) -> Vec<Access> {
        let arn = input.resource_arn.clone().unwrap_or_default();
        vec![Access::new("sagemaker:ListTags", arn)]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        taggable::validate_arn(violations, input.resource_arn.as_deref());
        text::plain(violations, "nextToken", input.next_token.as_deref(), 0..=8_192);
        violations.range("maxResults", input.max_results, 50..=i64::from(i32::MAX));
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let arn = input.resource_arn.as_deref().unwrap_or_default();
        let arn = taggable::existing(context, arn).await?;
        let listing = format!("ListTags {arn}");
        let from: usize = paging::decode(&listing, input.next_token.as_deref())?.unwrap_or(0);
        let limit = input.max_results.and_then(|most| usize::try_from(most).ok());
        let end = from.saturating_add(limit.unwrap_or(RESULTS_DEFAULT));
        let tags = context.platform.tags.list(&arn).await?;
        let more = (tags.len() > end).then(|| paging::encode(&listing, &end)).transpose()?;
        let page = tags.into_iter().take(end).skip(from);
        Ok(Output { tags: page.map(Tag::from).collect(), next_token: more })
    }
}
