//! `GetCallerIdentity`: whose key signed the request. Needs no permission, as on AWS.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::context::{Caller, Context};
use crate::failure::Failure;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

pub struct GetCallerIdentity;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    user_id: String,
    account: String,
    arn: String,
}

#[async_trait]
impl Operation for GetCallerIdentity {
    const NAME: &'static str = "GetCallerIdentity";
    type Input = Input;
    type Output = Output;

    fn authorize(_: &Context, _: &Input) -> Vec<Access> {
        Vec::new()
    }

    fn validate(_: &Input, _: &mut Violations) {}

    async fn handle(context: &Context, _: Input) -> Result<Output, Failure> {
        let user_id = match &context.caller {
            Caller::Root { .. } => context.account().to_owned(),
            Caller::Session { role_id, session_name, .. } => format!("{role_id}:{session_name}"),
        };
        Ok(Output { user_id, account: context.account().to_owned(), arn: context.caller_arn() })
    }
}
