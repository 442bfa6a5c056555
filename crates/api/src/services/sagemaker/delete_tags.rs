//! DeleteTags.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::shapes::{tag, text};
use super::taggable;
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct DeleteTags;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    pub resource_arn: Option<String>,
    pub tag_keys: Option<Vec<String>>,
}

/// AWS's answer has no members.
#[derive(Debug, PartialEq, Serialize)]
pub struct Output {}

#[async_trait]
impl Operation for DeleteTags {
    const NAME: &'static str = "DeleteTags";
    type Input = Input;
    type Output = Output;

    fn authorize(_context: &Context, input: &Input) -> Vec<Access> {
        let arn = input.resource_arn.clone().unwrap_or_default();
        vec![Access::new("sagemaker:DeleteTags", arn)]
    }

    fn validate(input: &Input, violations: &mut Violations) {
        taggable::validate_arn(violations, input.resource_arn.as_deref());
        violations.required("tagKeys", input.tag_keys.as_ref());
        text::count(violations, "tagKeys", input.tag_keys.as_ref().map(Vec::len), 1..=50);
        for (key, number) in input.tag_keys.iter().flatten().zip(1..) {
            tag::validate_key(violations, &format!("tagKeys.{number}.member"), Some(key));
        }
    }

    async fn handle(context: &Context, input: Input) -> Result<Output, Failure> {
        let arn = input.resource_arn.as_deref().unwrap_or_default();
        let arn = taggable::existing(context, arn).await?;
        context.platform.tags.delete(&arn, &input.tag_keys.unwrap_or_default()).await?;
        Ok(Output {})
    }
}
