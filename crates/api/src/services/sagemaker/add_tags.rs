//! AddTags.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::shapes::tag::{Tag, tags_from, validate_tags};
use super::taggable;
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct AddTags;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub resource_arn: Option<String>,
    pub tags: Option<Vec<Tag>>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// All tags of the resource, those before included.
    pub tags: Vec<Tag>,
}

#[async_trait]
impl Operation for AddTags {
    const NAME: &'static str = "AddTags";
    type Input = Input;
    type Output = Output;

    fn authorize(_context: &Context, input: &Input) -> Vec<Access> {
        let arn = input.resource_arn.clone().unwrap_or_default();
        vec![Access::new("sagemaker:AddTags", arn)]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        taggable::validate_arn(violations, input.resource_arn.as_deref());
        violations.required("tags", input.tags.as_ref());
        validate_tags(violations, input.tags.as_ref());
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let arn = input.resource_arn.as_deref().unwrap_or_default();
        let arn = taggable::existing(context, arn).await?;
        let tags = context.platform.tags.add(&arn, &tags_from(input.tags)).await?;
        Ok(Output { tags: tags.into_iter().map(Tag::from).collect() })
    }
}
